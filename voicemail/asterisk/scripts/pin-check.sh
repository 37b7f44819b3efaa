#!/bin/sh
# Asterisk's externpasscheck: may this PIN be the mailbox's? Prints VALID, or why not.
#
# Asterisk calls it with mailbox, context, old PIN and new PIN; the old one is not sent on.
#
#   PIN_CHECK_URL              such as https://voicemail.example.com/asterisk
#   PIN_CHECK_CREDENTIAL_FILE  a file with the PBX's credential, readable by Asterisk's user alone
#
# Asterisk gives no environment of yours, so both may be set in /etc/asterisk/pin-check.conf.

set -eu

if [ -r /etc/asterisk/pin-check.conf ]; then
    # shellcheck source=/dev/null
    . /etc/asterisk/pin-check.conf
fi

if [ $# -ne 4 ]; then
    echo "The PIN can't be checked: mailbox, context, old and new PIN are needed."
    exit 0
fi

# Everything goes by standard input: arguments are seen by every user of the machine.
quoted() {
    printf '%s' "$1" | sed 's/[\\"]/\\&/g'
}

answer=$(
    {
        printf 'header = "Authorization: Bearer %s"\n' "$(cat "$PIN_CHECK_CREDENTIAL_FILE")"
        printf 'data-urlencode = "mailbox=%s"\n' "$(quoted "$1")"
        printf 'data-urlencode = "context=%s"\n' "$(quoted "$2")"
        printf 'data-urlencode = "password=%s"\n' "$(quoted "$4")"
    } | curl --config - --silent --fail --max-time 5 "$PIN_CHECK_URL/pin-check"
) || answer=""

echo "${answer:-The PIN could not be checked. Please try again later.}"
