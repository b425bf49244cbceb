package credential

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/registry-build/registry-build/builder"
)

const (
	// shortest is the least number of bytes that is hidden: of a value and of
	// each of its lines. Shorter ones stand in ordinary words.
	shortest = 4
	// shortestCode is the least of an encoded form, whose ends are cut off
	// where neighbouring bytes have a part in them.
	shortestCode = 6
)

// leastBlock is the least of a line inside PEM armour: a shorter one, which
// only ends a block, tells nothing and may stand in ordinary text.
const leastBlock = 8

// forms lists every text in which a value would be recognised, and each of its
// lines: a log shows one at a time, with a prefix before each.
func forms(value string) []string {
	return append(wholeForms(value), lineForms(value)...)
}

// wholeForms are those of the value in one piece.
func wholeForms(value string) []string {
	var out []string
	// White space around a value tells nothing, and a pattern that begins with
	// a line break would hold back the end of every line.
	value = strings.TrimSpace(value)
	if len(value) < shortest {
		return nil
	}
	out = atLeast(out, shortest, value)
	out = atLeast(out, shortestCode, base64Forms(value)...)
	out = atLeast(out, shortestCode, base64Forms(value+"\n")...) // echo "$SECRET" | base64
	out = atLeast(out, shortestCode, urlForms(value)...)
	return atLeast(out, shortestCode, jsonForms(value)...)
}

// lineForms are the lines of a value that has several. The armour of a PEM
// block is no secret and stands in many a log; what it holds is one. Without
// their line breaks the lines touch, and so are hidden as one.
func lineForms(value string) []string {
	value = strings.TrimSpace(value)
	if !strings.Contains(value, "\n") {
		return nil
	}
	var out []string
	inside := false
	for line := range strings.SplitSeq(value, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "-----BEGIN ") && strings.HasSuffix(line, "-----"):
			inside = true
		case strings.HasPrefix(line, "-----END ") && strings.HasSuffix(line, "-----"):
			inside = false
		case inside:
			out = atLeast(out, leastBlock, line)
		default:
			out = atLeast(out, shortest, line)
		}
	}
	return out
}

// forms are those of everything in the credential that is secret.
func (e entry) forms() []string {
	f, err := formOf(e.Kind, e.Fields[builder.FieldService])
	if err != nil { // of a later version: all of it
		var out []string
		for _, v := range e.Fields {
			out = append(out, forms(v)...)
		}
		return out
	}
	var out []string
	for _, field := range f.fields {
		value := e.Fields[field.Name]
		switch {
		case !field.Secret:
		case e.Kind == builder.KindKubeconfig:
			out = append(out, kubeForms(value)...)
		case field.Name == builder.FieldURL:
			out = append(out, addressForms(value)...)
		default:
			out = append(out, forms(value)...)
		}
	}
	if password := e.Fields[builder.FieldPassword]; password != "" {
		out = append(out, pairForms(e.Fields[builder.FieldUsername], password)...)
	}
	if key := e.Fields[builder.FieldSecretKey]; key != "" {
		out = append(out, pairForms(e.Fields[builder.FieldSecretID], key)...)
	}
	return out
}

// kubeForms are those of a kubeconfig as a whole and of its secret parts. Its
// other lines are ordinary text: "kind: Config" stands in many a log.
func kubeForms(value string) []string {
	out := wholeForms(value)
	values, pairs := kubeSecrets(value)
	for _, v := range values {
		out = append(out, forms(v)...)
	}
	for _, p := range pairs {
		out = append(out, pairForms(p[0], p[1])...)
	}
	return out
}

// pairForms are a user name and its password as HTTP's Basic login has them.
func pairForms(name, password string) []string {
	return atLeast(nil, shortestCode, base64Forms(name+":"+password)...)
}

// leastPath is the least of an address's path that is hidden without its host,
// and of the path's last element: a shorter one is a word.
const leastPath = 16

// addressForms are those of an address whose path or query is the key: clients
// and servers log these without the host.
func addressForms(value string) []string {
	out := forms(value)
	u, err := url.Parse(value)
	if err != nil {
		return out
	}
	path := u.EscapedPath()
	for _, s := range []string{u.RequestURI(), path[strings.LastIndexByte(path, '/')+1:]} {
		if len(s) >= leastPath {
			out = append(out, wholeForms(s)...)
		}
	}
	for _, values := range u.Query() {
		for _, v := range values {
			if len(v) >= leastSecret {
				out = append(out, wholeForms(v)...)
			}
		}
	}
	return out
}

func atLeast(out []string, minimum int, texts ...string) []string {
	for _, s := range texts {
		if len(s) >= minimum {
			out = append(out, s)
		}
	}
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
