"""What persists: storage zones, the catalogue of slides, uploads, jobs and keys, the vault, the audit trail."""
