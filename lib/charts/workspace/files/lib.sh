# Sourced by start.sh: what is prepared before anything runs.

STATE=/workspace/.runbook

say() { echo "workspace: $*"; }

# The folder that the person works in. An empty workspace begins with a page that shows that PHP and MariaDB work together.
prepare_folder() {
  mkdir -p "$WORKSPACE_FOLDER" "$STATE" || { say "/workspace cannot be written by user $(id -u)"; exit 1; }
  if [ ! -e "$STATE/ready" ]; then
    if [ -z "$(ls -A "$WORKSPACE_FOLDER")" ] && [ "$WORKSPACE_REPO" = "" ]; then
      cat /opt/runbook/example.php >"$WORKSPACE_FOLDER/index.php" || exit 1
    fi
    date -u +%FT%TZ >"$STATE/ready"
  fi
  # A *.code-workspace file names folders; Apache serves the one that holds it.
  case $WORKSPACE_LOCATION in
    *.code-workspace) DOCUMENT_ROOT=$(dirname "$WORKSPACE_LOCATION") ;;
    *) DOCUMENT_ROOT=$WORKSPACE_LOCATION ;;
  esac
  DOCUMENT_ROOT=$DOCUMENT_ROOT${WORKSPACE_DOCUMENT_ROOT:+/$WORKSPACE_DOCUMENT_ROOT}
  export DOCUMENT_ROOT
  mkdir -p "$DOCUMENT_ROOT"
}

# What every process of the workspace finds: `gp`, the variables of .gitpod.yml and those kept by `gp env`.
prepare_environment() {
  mkdir -p "$HOME/.config/runbook" /run/runbook/sync
  PATH=$PATH:/opt/runbook
  SHELL=$(command -v bash || command -v sh)
  export PATH SHELL
  . /opt/runbook/env.sh
  if [ ! -e "$HOME/.bashrc" ]; then
    if [ -r /etc/skel/.bashrc ]; then cat /etc/skel/.bashrc >"$HOME/.bashrc"; else : >"$HOME/.bashrc"; fi
  fi
  grep -q /opt/runbook/env.sh "$HOME/.bashrc" || echo '[ ! -r /opt/runbook/env.sh ] || . /opt/runbook/env.sh' >>"$HOME/.bashrc"
}

# Where the IDE is, and the settings that are the workspace's; the person's own are in User/settings.json, left alone.
prepare_ide() {
  IDE_ROOT=/opt/ide/usr/lib/code-server
  IDE_OPEN=$WORKSPACE_LOCATION
  [ -e "$IDE_OPEN" ] || IDE_OPEN=$WORKSPACE_FOLDER
  export IDE_ROOT
  if [ ! -x "$IDE_ROOT/bin/code-server" ]; then
    say "no code-server at $IDE_ROOT: is ide.image the right image?"
    exit 1
  fi
  data=$HOME/.local/share/code-server
  mkdir -p "$data/Machine" "$data/User"
  cat /opt/runbook-tasks/machine-settings.json >"$data/Machine/settings.json"
  [ -e "$data/User/settings.json" ] || cat /opt/runbook-tasks/user-settings.json >"$data/User/settings.json"
  # The terminals of the tasks; a file that the person made is not touched.
  if [ ! -e "$data/User/tasks.json" ] || grep -q '"/opt/runbook/gp"' "$data/User/tasks.json"; then
    cat /opt/runbook-tasks/user-tasks.json >"$data/User/tasks.json"
  fi
}

install_extensions() {
  log=$HOME/.local/share/code-server/extensions.log
  while read -r extension; do
    [ -n "$extension" ] || continue
    "$IDE_ROOT/bin/code-server" --install-extension "$extension" >>"$log" 2>&1 ||
      say "extension $extension was not installed, see $log"
  done </opt/runbook-tasks/extensions
}
