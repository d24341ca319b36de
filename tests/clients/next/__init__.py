"""A Next.js app behind the gateway, checked by hand: run.sh."""
