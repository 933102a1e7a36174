#!/bin/sh
# Main process of the container `web`: prepares the folder on the first start, then keeps Apache running until told to stop.
set -u

say() { echo "workspace: $*"; }

# An empty workspace begins with a page that shows that PHP and MariaDB talk to each other.
if [ ! -e /workspace/.runbook/ready ]; then
  mkdir -p "$WORKSPACE_FOLDER" /workspace/.runbook || exit 1
  if [ -z "$(ls -A "$WORKSPACE_FOLDER")" ]; then
    cp /opt/runbook/example.php "$WORKSPACE_FOLDER/index.php" && chmod 644 "$WORKSPACE_FOLDER/index.php" || exit 1
  fi
  date -u +%FT%TZ >/workspace/.runbook/ready
fi

DOCUMENT_ROOT=$WORKSPACE_FOLDER${WORKSPACE_DOCUMENT_ROOT:+/$WORKSPACE_DOCUMENT_ROOT}
export DOCUMENT_ROOT
mkdir -p "$DOCUMENT_ROOT"
cd "$WORKSPACE_FOLDER" || exit 1

if ! command -v apache2-foreground >/dev/null; then
  say "this image has no apache2-foreground: no web server is started"
  exit 1
fi
exec apache2-foreground
