#!/usr/bin/env bash
# Runs a program of docs/guardrails.md and looks for the report that it promises in its first line.
# guardrail.sh SOURCE PROGRAM
set -euo pipefail
kind=$(sed -n '1s|^// reports ||p' "$1")
[ -n "$kind" ] || { echo "$1: the first line does not say what the program reports"; exit 1; }
said=$(BELAY_GUARDRAILS=all=log "$2" 2>&1) || { echo "$said"; echo "$2 failed"; exit 1; }
grep -qF "belay: WARN [$kind]" <<<"$said" || { echo "$said"; echo "$2 did not report $kind"; exit 1; }
