#!/usr/bin/env bash
# Gives scripts/symbolize the report of a program of docs/guardrails.md whose task computes in count(), as text, as JSON, with the wrong
# program, and with build ids.
# symbolize.sh PYTHON SYMBOLIZE PROGRAM SOURCE ANOTHER_PROGRAM
set -euo pipefail
python=$1 script=$2 program=$3 source=$4 another=$5
symbolize() { "$python" "$script" "$@"; }
name=$(basename "$program") file=$(basename "$source")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failed=0
# expect FILE PATTERN
expect() {
    grep -Eq -- "$2" "$1" || { echo "$1 has no line with: $2"; cat "$1"; failed=1; }
}

BELAY_GUARDRAILS=stall=log:50ms "$program" 2>report
frame=$(grep -Eo "count\(\) +$name\+0x[0-9a-f]+" report | head -n 1)
[ -n "$frame" ] || { cat report; echo "the report does not name count()"; exit 1; }
place=${frame##* }
loop=$(grep -n 'std::clock() - began' "$source" | cut -d: -f1)

symbolize --path "$(dirname "$program")" report >text 2>said
expect text "^    #[0-9]+ +count\(\) \(.*$file:($loop|$((loop + 1)))\)$"
expect text "belay::detail::worker::.* \(.*runtime/detail/worker\.cpp:[0-9]+\)$"
[ ! -s said ] || { cat said; echo "complains about the right program"; failed=1; }
# Nothing else is changed.
diff <(grep -v '+0x' report) <(grep -Ev '[+]0x|\([^()]*:[0-9]+\)$' text) >/dev/null || { diff report text; echo "changes more than frames"; failed=1; }

echo '{"kind":"blocked_worker","where":[{"form":"native","title":"","frames":[{"function":"count()","place":"'"$place"'","guessed":false}]}]}' >json
symbolize --path "$program" <json >json.out
expect json.out '"function":"count\(\)","place":"[^"]*'"$file:[0-9]+"'","guessed":false'

# A module that is not here stays as it is.
mkdir empty
sed "s/$name+/no-such-program+/" report >other
symbolize --path empty other >text 2>said
expect text '    #[0-9]+ +count\(\) +no-such-program\+0x[0-9a-f]+$'

# Another build of it: its functions do not fit.
mkdir wrong
ln -s "$another" "wrong/$name"
grep -v '^  build ids:' report >without_ids
symbolize --path wrong without_ids >text 2>said
expect text "    #[0-9]+ +count\(\) +$name\+0x[0-9a-f]+$"
expect said "^symbolize: $name: .* is another build than that of the report, which has .* where this has .*: its frames are left"

# With build ids, as a report has them where there are any.
id=$("$python" -c 'import importlib.machinery as m, sys; print(m.SourceFileLoader("s", sys.argv[1]).load_module().build_id(sys.argv[2]) or "")' \
    "$script" "$program")
if [ -n "$id" ]; then
    sed "s/^  stack id/  build ids: libfoo.so.5 77aa77aa, $name $id\n&/" report >with_id
    symbolize --path "$program" with_id >text 2>said
    expect text "count\(\) \(.*$file:[0-9]+\)$"
    sed "s/^  build ids:.*/  build ids: $name 00112233445566778899/" report >with_id
    grep -q '^  build ids:' with_id || sed -i "s/^  stack id/  build ids: $name 00112233445566778899\n&/" with_id
    symbolize --path "$program" with_id >text 2>said
    expect text "count\(\) +$name\+0x[0-9a-f]+$"
    sed 's/"guessed"/"build_id":"00112233445566778899","guessed"/' json | symbolize --path "$program" >json.out
    expect json.out '"place":"'"$name"'\+0x'
    expect said "^symbolize: $name: .* has build id $id, and the report is of build id 00112233445566778899"
fi
exit "$failed"
