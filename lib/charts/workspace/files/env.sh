# Sourced by every shell of the workspace. The variables of .gitpod.yml, then those that the person keeps with `gp env`.
. /opt/runbook-tasks/env
[ ! -r "$HOME/.config/runbook/env" ] || . "$HOME/.config/runbook/env"
case :$PATH: in *:/opt/runbook:*) ;; *) PATH=$PATH:/opt/runbook ;; esac
