#!/bin/sh
# GIT_ASKPASS: git asks for a name or a password; both are files of the repository's Secret.
case $1 in
  Username*) cat /run/secrets/git/username ;;
  *) cat /run/secrets/git/password ;;
esac
