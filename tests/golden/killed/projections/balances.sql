-- azoth:projection balances version 1
CREATE TABLE balances (account TEXT PRIMARY KEY, cents INTEGER NOT NULL) WITHOUT ROWID;
-- azoth:on deposited
INSERT INTO balances VALUES (:account, :amount) ON CONFLICT (account) DO UPDATE SET cents = cents + excluded.cents;
