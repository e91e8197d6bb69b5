#!/bin/sh
# Installs what the tests need beyond Python: Chromium and fonts, SpamAssassin for the mail, npm packages
# for its look and for Shopify's signature, PHP and curl for the examples, PgBouncer for the outbox, Redis for the rate
# limit, promtool for the alert rules.
# What cannot be installed is named with the tests that are skipped without it, and on Debian with the command that
# installs it; the exit code is then 1.
set -u
cd "$(dirname "$0")" || exit 1

# Fonts for every language, and a library that Playwright's own Node.js needs.
libraries="fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji libatomic1"
exit_code=0

has() {
    command -v "$1" >/dev/null 2>&1
}

has_browser() {
    [ -n "${CHROMIUM:-}" ] || has chromium || has chromium-browser || has google-chrome
}

has_playwright() {
    ../.venv/bin/python -m playwright --version >/dev/null 2>&1
}

# Debian has it in a folder that is not on every user's PATH.
has_pgbouncer() {
    has pgbouncer || [ -x /usr/sbin/pgbouncer ]
}

has_promtool() {
    has promtool || [ -x ../.venv/bin/promtool ]
}

# Debian's package would also start a Prometheus, so only the tool is taken out of it.
extract_promtool() {
    (
        target=$(cd ../.venv/bin && pwd) && folder=$(mktemp -d) && cd "$folder" &&
            apt-get -qq download prometheus && dpkg-deb -x prometheus_*.deb . &&
            cp usr/bin/promtool "$target/"
        rm -rf "${folder:-}"
    ) >/dev/null 2>&1
}

missing_packages() {
    has_browser || echo chromium
    has spamassassin || echo spamassassin
    has php || echo php-cli
    has curl || echo curl
    has_pgbouncer || echo pgbouncer
    has redis-server || echo redis-server
    for library in $libraries; do
        dpkg -s "$library" >/dev/null 2>&1 || echo "$library"
    done
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::http::Timeout=20 "$@" >/dev/null 2>&1
}

install() {
    apt install -y --no-install-recommends "$@"
}

skipped() {
    echo "Tests will be skipped, $1: $2"
    exit_code=1
}

packages=
if has apt-get; then
    packages=$(missing_packages | xargs)
fi
if [ -n "$packages" ] && [ "$(id -u)" -eq 0 ]; then
    # The package lists may be absent or old, a mirror may fail once, and not every system has every package.
    # shellcheck disable=SC2086 # one word a package
    if ! install $packages; then
        apt update || apt update
        install $packages || for package in $packages; do install "$package"; done
    fi
fi
if has apt-get; then
    has_promtool || extract_promtool
fi
has_browser || skipped "those in a browser" "no Chromium (or set CHROMIUM to its path)"
has_playwright || skipped "those in a browser" "Playwright does not start"
has spamassassin || skipped test_spam.py "no SpamAssassin"
has php || skipped "test_examples.py and test_vendor_signatures.py for PHP" "no PHP"
has curl || skipped "test_examples.py for curl" "no curl"
has_pgbouncer || skipped test_pgbouncer.py "no PgBouncer"
has redis-server || skipped "test_shop_limit.py with Redis" "no redis-server"
has_promtool || skipped "test_monitoring.py with promtool" "no promtool (it comes with Prometheus)"
has node || skipped "test_examples.py for JavaScript" "no Node.js (install 20.19 or later)"

npm_tests="test_browser.py, test_clients.py and test_vendor_signatures.py for Shopify"
if ! has npm; then
    skipped "$npm_tests" "no npm (install Node.js 20.19 or later)"
elif ! npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; then
    skipped "$npm_tests" "npm ci failed"
fi
if [ -n "$packages" ] && [ "$(id -u)" -ne 0 ]; then
    echo "For every test: sudo apt-get install $packages"
fi
exit $exit_code
