package ledger

const crashDir = "MCPSEC_LEDGER_CRASH_DIR"

func crashChild(string) {}
