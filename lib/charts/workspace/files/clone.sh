#!/bin/sh
# Runs in the IDE's image, which has git, before the workspace: the repository, once. What is there already is left alone.
set -eu
[ ! -e "$WORKSPACE_FOLDER" ] || { echo "$WORKSPACE_FOLDER is there already"; exit 0; }
cd /workspace
mkdir -p .runbook "$(dirname "$WORKSPACE_FOLDER")"
# Beside, then renamed: a clone that was broken off is never taken for a whole one.
rm -rf .runbook/clone
git clone --quiet ${WORKSPACE_REF:+--branch "$WORKSPACE_REF"} -- "$WORKSPACE_REPO" .runbook/clone
while IFS='=' read -r name value; do
  [ -z "$name" ] || git config --global "$name" "$value"
done </opt/runbook-tasks/gitconfig
mv .runbook/clone "$WORKSPACE_FOLDER"
echo "cloned $WORKSPACE_REPO into $WORKSPACE_FOLDER"
