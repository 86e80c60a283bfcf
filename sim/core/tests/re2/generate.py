"""Writes table.jsonl: what RE2 itself (PyPI google-re2, Latin-1) makes of patterns. Run by hand when patterns change.

Each line: {"p": pattern, "ok": bool, "size": program size, "full": [indices of subjects matched as a whole],
"rw": substitution?, "out": [[subject index, GlobalReplace result]]}; the first line lists the subjects.
Texts are Latin-1: each character is one byte.
"""

import json
import sys

import re2

SUBJECTS = [
    "", "a", "b", "A", "ab", "aab", "aaab", "abc", "ABC", "Abc", "a.b", "a\nb", "a b", "a\tb", "a\x0bb", "a-b", "a_b",
    "a]b", "a[b", "a{", "a{,3}", "aaa", "aaaa", "{", "}", "]", "^", "$", "*", "+", "?", "-", "_", "0", "7", "42", "123456",
    "/", "/api/v1", "/api/v2/items", "/api/v1/items/7", "/API/V1", "/b", "/bit", "/bite", "/foo/bar", "/foo", "/strip/x",
    "/strip", "/one/y/one", "x", "xx", "xyz", "foo.bar", "fooXbar", "a\xe9b", "a\xc3\xa9b", "\xe9", "\xc9", "\xb5", "\xff",
    "\xdf", "\xaa", "\xa0", "spiffe://cluster.local/ns/foo/sa/x", "spiffe://td/ns/a.b/sa/y", "k", "K", "s", "S", "<", ">",
    "a<b", "word word", " word ", "wordy", "Q", "E", "\\", "\\Q", "a\\b", "\x07", "\x0c", "\r", "\n", "ab\n", "\nab", "ab\ncd",
    "&&", "a&&b", "a&", "a~~b", "true", "TRUE", "v10", "user-123", "qa-7", "text/html; charset=x", "(", ")", "()", "[:alpha:]",
]

PATTERNS = r"""
a|ab
a*
a+
a?
a*?
a+?
a??
a**
a++
a?+
a*+
a*{2}
a{2}
a{2,}
a{2,3}
a{,3}
a{
a{2
a{2,
a{2,x}
a{02}
a{1000}
a{1001}
a{2,1}
(a{100}){11}
(a{10}){100}
((a{10}){10}){10}
((a{10}){10}){11}
(?:a{2}){2}
a{0}
a{0,0}b
x{2}*
(x{2})*
*a
+a
?a
(*a)
(|a)
(a|)
a||b
|
()
(a
a)
)
(
(?:a
(?:a)
(?i)abc
(?i:a)bc
a(?i)bc
a(?i)b(?-i)c
(?i)
(?)
(?-)a
(?i-)a
(?-i)a
(?ii)a
(?s)a.b
a.b
(?s).*
.*
(?m)^ab$
^ab$
(?m)ab$
ab$
(?m)^ab
(?U)a+
(?U)a+?
(?x)a b
(?u)a
(?R)a
(?L)a
(?#c)a
(?P<n>a)
(?P<n>a)(?P<n>b)
(?<n>a)
(?<n>a)(?<m>b)
(?P<>a)
(?P<n
(?P<n-m>a)
(?P=n)
(?P>n)
(?'n'a)
(?=a)
(?!a)
(?<=a)
(?<!a)
(?=
(?>a)
(?|a)
\d
\d+
\D
\w+
\W
\s
\S
a\sb
\b
\bword\b.*
.*\bword\b.*
\Bb
a\Bb
\A
\Aab\z
ab\Z
\z
\Z
\G
\C
a\Cb
a\C\Cb
\Qa.b\E
\Qa.b
\Q\E
\Qa\Eb
\E
\Q[\E
\Qa\\E
\Q*\E*
\101
\0
\07
\077
\400
\377
\8
\1
(a)\1
\12
\x41
\x4
\xg
\x{41}
\x{e9}
\x{ff}
\x{100}
\x{}
\x{4
\x{0041}
\u0041
\U00000041
\n
\r
\t
\f
\v
\a
\e
\cA
\_
\-
\/
\.
\<
\>
a\<b
\
\k<n>
\N
\R
\X
\h
\K
\pL
\PL
\p{L}
\P{L}
\p{^L}
\P{^L}
\p{Lu}
\p{Ll}
\p{Nd}
\pN
\pNa
\p{Greek}
\p{Latin}
\p{Latn}
\p{latin}
\p{Common}
\p{Han}
\p{Letter}
\p{Alphabetic}
\p{Any}
\p{L
\p
\p{}
\p{Old_Italic}
\p{gc=L}
\p{Script=Latin}
(?i)\p{Lu}
(?i)\p{Ll}
[a]
[^a]
[a-c]
[c-a]
[a-]
[-a]
[a-b-c]
[]]
[]a]
[^]]
[^]a]
[
[a
[]
[^]
[a[]
[[]
[[a]
[a]]
[\]]
[\d]
[\D]
[^\d]
[\w-]
[\w-a]
[a-\w]
[a-\d]
[\s]
[\b]
[\Q]
[\pL]
[\p{Lu}]
[^\pL]
[\p]
[\C]
[\A]
[\z]
[\n]
[\x41]
[\x41-\x43]
[\101]
[\1]
[\-]
[\_]
[.]
[*+?]
[a&&b]
[[a]b]
[a~~b]
[a--b]
[[:alpha:]]
[[:alpha:]]+
[[:^alpha:]]
[^[:alpha:]]
[[:Alpha:]]
[[:alpha:]
[[:foo:]]
[[:word:]]+
[[:space:]]
[[:blank:]]
[[:punct:]]
[[:cntrl:]]
[[:print:]]
[[:graph:]]
[[:ascii:]]
[[:xdigit:]]+
[[:upper:]]
[[:lower:]]
(?i)[[:upper:]]
(?i)[[:lower:]]
[:alpha:]
[[:alpha:]-z]
[a[:digit:]b]
[[.a.]]
[[=a=]]
(?i)[a-c]
(?i)[^a]
(?i)k
(?i)[k]
(?i)s
(?i)Ã©
(?i)é
(?i)É
(?i)µ
(?i)ß
(?i)ÿ
(?i)[à-þ]
é
[é]
[^é]
aéb
a.b
a..b
\w
\xe9
[\x80-\xff]
/api/v\d+
/api/v\d+/.*
/api/(v1|v2)(/.*)?
/b[io]t
/q\?x=1
/[^/]+/[^/]+
/alt|/other|/foo
.*/ns/foo/.*
.*/ns/a\.b/.*
spiffe://.+/ns/foo/(.+/|)sa/x(/.+)?
spiffe://[^/]*\.corp/.*
.+
^.*?(/items/).*$
(?:(?:a|b)+)+
(a|b)*c|(a|ab)*c
v[0-9]
user-[0-9]{3}
qa-.*
(true|TRUE)
[A-Z]{1,2}
.{3}
^$
^
$
a$b
a^b
^*
$*
\b*
(^)*
(?:^)+a
(?i)(?-i:a)b
((a)|b)*
""".strip("\n").split("\n")

REWRITES = [
    ("one", "two"), ("^/strip(/?)(.*)", "/\\2"), ("/api/(v[0-9])", "/\\1/x"), (".*", ""), (".*", "z"), ("a*", "-"), ("b", "\\\\"),
    ("a", "\\0\\0"), ("(a)(b)?", "[\\2]"), ("x", "\\1"), ("x", "\\"), ("x", "\\q"), ("", "-"), ("$", "!"), ("^", "^"), ("(?i)a", "\\0."),
    ("\\b", "|"), ("/+", "/"), ("[^/]*$", "end"), ("(.)(.)", "\\2\\1"), ("o", ""), ("/api/v1/items/([0-9]+)", "/items/\\1/version2"),
]


def compile_pattern(text):
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    return re2._re2.RE2(text.encode("latin-1"), options)


def matches(regex, subject, anchor):
    data = subject.encode("latin-1")
    groups = regex.Match(anchor, data, 0, len(data))
    return groups is not None and bool(groups) and groups[0] != (-1, -1)


def main():
    out = [json.dumps({"subjects": SUBJECTS}, ensure_ascii=True)]
    both = re2._re2.RE2.Anchor.ANCHOR_BOTH
    for pattern in dict.fromkeys(PATTERNS):
        regex = compile_pattern(pattern)
        row = {"p": pattern, "ok": regex.ok()}
        if regex.ok():
            row["size"] = regex.ProgramSize()
            row["full"] = [i for i, s in enumerate(SUBJECTS) if matches(regex, s, both)]
        out.append(json.dumps(row, ensure_ascii=True))
    for pattern, rewrite in REWRITES:
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.log_errors = False
        regex = compile_pattern(pattern)
        row = {"p": pattern, "ok": True, "rw": rewrite, "out": []}
        for i, subject in enumerate(SUBJECTS):
            if subject.isascii():
                row["out"].append([i, global_replace(regex, rewrite, subject)])
        out.append(json.dumps(row, ensure_ascii=True))
    print("\n".join(out))


def global_replace(regex, rewrite, subject):
    """RE2::GlobalReplace, driven by RE2's own matcher (the Python binding's sub has Python's rewrite syntax)."""
    data = subject.encode("latin-1")
    import re as syntax

    groups_wanted = [int(g) for g in syntax.findall(r"\\(\d)", rewrite.replace("\\\\\\\\", ""))]
    if any(g > regex.NumberOfCapturingGroups() for g in groups_wanted):
        return subject
    stripped = syntax.sub(r"\\[0-9\\]", "", rewrite)
    if "\\" in stripped:
        return subject
    unanchored = re2._re2.RE2.Anchor.UNANCHORED
    out, p, last_end, count = b"", 0, None, 0
    while p <= len(data):
        found = regex.Match(unanchored, data, p, len(data))
        if not found or found[0] == (-1, -1):
            break
        start, end = found[0]
        out += data[p:start]
        if last_end == start and start == end:
            if p < len(data):
                out += data[p : p + 1]
            p += 1
            continue
        i = 0
        while i < len(rewrite):
            c = rewrite[i]
            if c == "\\":
                i += 1
                d = rewrite[i]
                if d == "\\":
                    out += b"\\"
                else:
                    a, b = found[int(d)]
                    out += data[a:b] if a >= 0 else b""
            else:
                out += c.encode("latin-1")
            i += 1
        p = end
        last_end = p
        count += 1
    if count == 0:
        return subject
    out += data[p:]
    return out.decode("latin-1")


if __name__ == "__main__":
    sys.exit(main())
