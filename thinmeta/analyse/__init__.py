"""Questions over a pool: functions that return typed values and know nothing of formats."""
