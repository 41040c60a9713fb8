# shellcheck shell=bash
# check-dovecot imap|pop3 PORT FILE: exit status 0 while Dovecot here answers clients: a Dovecot that hangs takes connections, but
# says nothing. With its disk nearly full, which a FILE that is not empty tells, it takes no mail. Run by keepalived as nobody.
case $1 in
  imap) healthy='* OK' farewell='a LOGOUT' ;;
  pop3) healthy='+OK' farewell='QUIT' ;;
esac
exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$2" || exit 1
read -r -t 2 greeting <&3 || exit 1
printf '%s\r\n' "$farewell" >&3
[ ! -s "$3" ] || exit 1
[[ $greeting == "$healthy"* ]]
