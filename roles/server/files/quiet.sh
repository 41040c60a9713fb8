# shellcheck shell=sh
# quiet PROGRAM ARGUMENT...: runs one of Dovecot's programs without its log, which goes out by the standard error: for health
# checks (10-server.conf).
program=$1
shift
exec "/usr/lib/dovecot/$program" "$@" 2>/dev/null
