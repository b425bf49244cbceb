package credential

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
)

const (
	// shortest is the least number of bytes that is hidden: of a value and of
	// each of its lines. Shorter ones stand in ordinary words.
	shortest = 4
	// shortestCode is the least of an encoded form, whose ends are cut off
	// where neighbouring bytes have a part in them.
	shortestCode = 6
)

// forms lists every text in which a value would be recognised.
func forms(value string) []string {
	var out []string
	add := func(minimum int, texts ...string) {
		for _, s := range texts {
			if len(s) >= minimum {
				out = append(out, s)
			}
		}
	}
	// White space around a value tells nothing, and a pattern that begins with
	// a line break would hold back the end of every line.
	value = strings.TrimSpace(value)
	if len(value) < shortest {
		return nil
	}
	add(shortest, value)
	if strings.Contains(value, "\n") {
		// A log shows one line at a time, with a prefix before each.
		for line := range strings.SplitSeq(value, "\n") {
			add(shortest, strings.TrimSpace(line))
		}
	}
	add(shortestCode, base64Forms(value)...)
	add(shortestCode, base64Forms(value+"\n")...) // echo "$SECRET" | base64
	add(shortestCode, urlForms(value)...)
	add(shortestCode, jsonForms(value)...)
	return out
}

// base64Forms are what a value looks like inside base64 of a longer text,
// whatever stands before it (0, 1 or 2 bytes into a group of three) and
// behind it, in both alphabets, padded and not.
func base64Forms(value string) []string {
	var out []string
	for skip := range 3 {
		padded := base64.StdEncoding.EncodeToString([]byte("\x00\x00"[:skip] + value))
		// The first characters hold bits of what stands before.
		first := []int{0, 2, 3}[skip]
		// The last one holds bits of what stands behind, unless this is the end.
		full := (skip + len(value)) * 8 / 6
		raw := strings.TrimRight(padded, "=")
		if full <= first {
			continue
		}
		out = append(out, raw[first:full], raw[first:], padded[first:])
		if skip == 0 {
			out = append(out, wrapped(raw, 64)...) // PEM
			out = append(out, wrapped(raw, 76)...) // MIME, and base64(1)
		}
	}
	for _, s := range out {
		if web := strings.NewReplacer("+", "-", "/", "_").Replace(s); web != s {
			out = append(out, web)
		}
	}
	return out
}

// wrapped cuts a long encoding into the lines that tools print.
func wrapped(s string, width int) []string {
	var out []string
	for len(s) > width {
		out = append(out, s[:width])
		s = s[width:]
	}
	if out != nil {
		out = append(out, s)
	}
	return out
}

// urlForms are the value in a query and in a path, with hexadecimal digits in
// both cases.
func urlForms(value string) []string {
	var out []string
	for _, s := range []string{url.QueryEscape(value), url.PathEscape(value)} {
		if s != value {
			out = append(out, s, lowerEscapes(s))
		}
	}
	return out
}

func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], strings.ToLower(s[i+1:i+3]))
			i += 2
		}
	}
	return string(b)
}

// jsonForms are the value inside a JSON text: answers of services and
// structured logs are.
func jsonForms(value string) []string {
	var out []string
	for _, escapeHTML := range []bool{true, false} {
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(escapeHTML)
		if e.Encode(value) != nil {
			continue
		}
		s := strings.TrimSuffix(b.String(), "\n")
		if s = s[1 : len(s)-1]; s != value {
			out = append(out, s)
		}
	}
	return out
}
