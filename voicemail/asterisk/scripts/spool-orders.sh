#!/bin/sh
# Carry out the open spool orders of this PBX, one after the other, and confirm each.
#
# It runs on the PBX, as the user of Asterisk, from cron: once a minute. A second run changes
# nothing. The first order that fails ends the run, because later ones may build on it.
#
#   SPOOL_URL              such as https://voicemail.example.com/asterisk
#   SPOOL_CREDENTIAL_FILE  a file with the PBX's credential, readable by Asterisk's user alone
#   SPOOL_DIRECTORY        /var/spool/asterisk/voicemail unless it is set

set -eu
LC_ALL=C
export LC_ALL

spool=${SPOOL_DIRECTORY:-/var/spool/asterisk/voicemail}
url=${SPOOL_URL:?must be the address of the service, such as https://host/asterisk}
credential_file=${SPOOL_CREDENTIAL_FILE:?must be a file with the credential of this PBX}

fail() {
    echo "spool-orders: $*" >&2
    exit 1
}

# One run at a time: a late one would carry out a move again that the other had confirmed, and take
# the messages of the next box of that name. The lock ends with the run, whatever ends it.
command -v flock >/dev/null || fail "flock is missing; util-linux has it"
exec 9<"$credential_file"
flock -n 9 || exit 0

# The credential goes by standard input: arguments are seen by every user of the machine.
ask() {
    printf 'header = "Authorization: Bearer %s"\n' "$(cat "$credential_file")" |
        curl --config - --silent --show-error --fail --max-time 30 --data "$2" "$url/$1"
}

check_name() {
    case $1 in
        *[!a-z0-9.-]* | .* | -* | *..* | "") fail "order $number: no context: $1" ;;
    esac
    case $2 in
        *[!0-9]* | 0* | "" | ????????*) fail "order $number: no mailbox: $2" ;;
    esac
}

# A link in the way could lead anywhere, so it is never followed.
check_path() {
    for part in "$spool" "$spool/$1" "$spool/$1/$2"; do
        [ ! -L "$part" ] || fail "order $number: a symbolic link: $part"
        [ ! -e "$part" ] || [ -d "$part" ] || fail "order $number: no directory: $part"
    done
}

# A message that is being recorded lies in tmp; at its end Asterisk takes it to the folder that it
# found at the start. The file grows every few seconds, so an older one is of a call that failed.
check_quiet() {
    [ -d "$1/tmp" ] && [ ! -L "$1/tmp" ] || return 0
    recording=$(find "$1/tmp" -type f -mmin -2)
    [ -z "$recording" ] || fail "order $number: a message is being recorded: $1"
}

# As Asterisk locks: a link named .lock in the directory. Whatever ends the run, no lock stays.
source_lock=""
target_lock=""
trap 'rm -f ${source_lock:+"$source_lock"} ${target_lock:+"$target_lock"}' EXIT
trap 'exit 1' HUP INT TERM

lock() {
    : >"$1/.lock-$$"
    tries=0
    until ln "$1/.lock-$$" "$1/.lock" 2>/dev/null; do
        tries=$((tries + 1))
        if [ "$tries" -gt 50 ]; then
            rm -f "$1/.lock-$$"
            fail "order $number: $1 stays locked"
        fi
        sleep 0.1
    done
    rm -f "$1/.lock-$$"
}

unlock() {
    rm -f "$1/.lock"
}

is_file() {
    [ -f "$1" ] && [ ! -L "$1" ]
}

# Asterisk's own names have no others; a line end in a name would become two names here.
is_plain() {
    case ${1##*/} in
        *[!A-Za-z0-9_.-]*) return 1 ;;
    esac
}

file_time() {
    stat -c %Y "$1"
}

message_time() {
    told=""
    if is_file "$1.txt"; then
        told=$(sed -n 's/^origtime=\([0-9][0-9]*\).*/\1/p' "$1.txt" | head -n 1)
    fi
    if [ -n "$told" ]; then
        echo "$told"
        return
    fi
    # Without a text of its own the newest of its files tells.
    newest=0
    for file in "$1".*; do
        if is_file "$file"; then
            at=$(file_time "$file")
            [ "$at" -le "$newest" ] || newest=$at
        fi
    done
    echo "$newest"
}

is_meant() {
    [ "$1" -lt "$before" ]
}

messages_in() {
    for file in "$1"/msg[0-9][0-9][0-9][0-9].*; do
        if is_file "$file" && is_plain "$file"; then
            echo "${file%.*}"
        fi
    done | sort -u
}

# Call a function with each folder of a mailbox, locked.
in_folders() {
    for folder in "$1"/*/; do
        folder=${folder%/}
        if [ -L "$folder" ] || ! [ -d "$folder" ] || ! is_plain "$folder"; then
            continue
        fi
        lock "$folder"
        source_lock=$folder/.lock
        "$2" "$folder"
        unlock "$folder"
        source_lock=""
        rmdir "$folder" 2>/dev/null || true
    done
}

remove_messages() {
    messages_in "$1" | while IFS= read -r message; do
        if is_meant "$(message_time "$message")"; then
            rm -f -- "$message".*
        fi
    done
}

greetings_in() {
    for file in "$1"/*; do
        if is_file "$file" && is_plain "$file"; then
            echo "$file"
        fi
    done
}

remove_recordings() {
    [ -d "$from" ] || return 0
    in_folders "$from" remove_messages
    greetings_in "$from" | while IFS= read -r file; do
        if is_meant "$(file_time "$file")"; then
            rm -f -- "$file"
        fi
    done
    rmdir "$from" 2>/dev/null || true
}

# Find the next free place from slot on: Asterisk waits five seconds for a folder, and no longer.
find_place() {
    while [ "$slot" -le 9999 ]; do
        place=$(printf '%s/msg%04d' "$1" "$slot")
        slot=$((slot + 1))
        set -- "$1" "$place".*
        if [ ! -e "$2" ] && [ ! -L "$2" ]; then
            return
        fi
        set -- "$1"
    done
    fail "order $number: $1 is full"
}

move_messages() {
    target=$to/${1##*/}
    [ ! -L "$target" ] || fail "order $number: a symbolic link: $target"
    mkdir -p "$target"
    lock "$target"
    target_lock=$target/.lock
    slot=0
    messages_in "$1" | while IFS= read -r message; do
        find_place "$target"
        # The text comes last: without it Asterisk sees no message.
        for file in "$message".*; do
            [ "$file" = "$message.txt" ] || mv -- "$file" "$place.${file##*.}"
        done
        [ ! -f "$message.txt" ] || mv -- "$message.txt" "$place.txt"
    done
    unlock "$target"
    target_lock=""
}

# A greeting that the new place has already was recorded later.
move_greetings() {
    greetings_in "$from" | while IFS= read -r file; do
        if [ -e "$to/${file##*/}" ] || [ -L "$to/${file##*/}" ]; then
            rm -f -- "$file"
        else
            mv -- "$file" "$to/${file##*/}"
        fi
    done
}

move_recordings() {
    [ -d "$from" ] || return 0
    mkdir -p "$to"
    in_folders "$from" move_messages
    move_greetings
    rmdir "$from" 2>/dev/null || true
}

orders=$(ask spool-orders "")
[ -n "$orders" ] || exit 0

while read -r number kind context mailbox before to_context to_mailbox; do
    check_name "$context" "$mailbox"
    check_path "$context" "$mailbox"
    from=$spool/$context/$mailbox
    check_quiet "$from"
    case $kind in
        remove)
            remove_recordings
            ;;
        move)
            check_name "$to_context" "$to_mailbox"
            check_path "$to_context" "$to_mailbox"
            to=$spool/$to_context/$to_mailbox
            move_recordings
            ;;
        *) fail "order $number: unknown kind: $kind" ;;
    esac
    ask spool-orders/confirm "number=$number" >/dev/null
done <<ORDERS
$orders
ORDERS
