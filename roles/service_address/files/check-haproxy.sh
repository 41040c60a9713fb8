# shellcheck shell=bash
# check-haproxy imap|pop3: exit status 0 while haproxy runs and sees at least one server behind it. Run by keepalived as nobody.
exec 2>/dev/null 3<>/dev/tcp/127.0.0.1/8405 || exit 1
printf 'show stat %s 4 -1\n' "$1" >&3
while IFS=, read -r -t 2 -a server <&3; do
  [[ ${server[17]} == UP* ]] && exit 0
done
exit 1
