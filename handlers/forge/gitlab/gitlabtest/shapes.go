package gitlabtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// checkShape holds an exchange against the types of a Go client of GitLab's
// API: parameters that its options do not have, and keys of answers that its
// results do not have, are violations unless GitLab's documentation has them.
// It is called under the lock when the answer is written; name is the route's,
// such as "GET /user".
func (s *Server) checkShape(name string, c *call, seen *Request) {
	sh, known := shapes[name]
	if !known {
		return // shapes_test.go asks for a row for each route
	}
	for _, wrong := range append(sh.request(c, seen), sh.answer(seen)...) {
		s.complain("%s: %s", name, wrong)
	}
}

// request lists what the options do not know.
func (sh shape) request(c *call, seen *Request) (wrong []string) {
	options := reflect.TypeOf(sh.options)
	query, body := map[string]bool{}, map[string]bool{}
	tags(options, "url", query)
	tags(options, "json", body)
	for _, name := range sh.also {
		query[name], body[name] = true, true
	}
	inQuery, err := url.ParseQuery(seen.Query)
	if err != nil {
		wrong = append(wrong, "query: "+err.Error())
	}
	text := bytes.TrimSpace(seen.Body)
	kind, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	var inBody map[string]any
	switch {
	case len(text) == 0:
	case kind == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(text))
		if err != nil {
			wrong = append(wrong, "form: "+err.Error())
		}
		for k, v := range form {
			inQuery[k] = v
		}
	case json.Unmarshal(text, &inBody) != nil:
		wrong = append(wrong, "the body is no JSON object")
	default:
		if err := decodes(options, text); err != nil {
			wrong = append(wrong, "body: "+err.Error())
		}
		for _, at := range unknown(any(inBody), options, "", sh.also) {
			wrong = append(wrong, fmt.Sprintf("body: %q is no parameter", at))
		}
	}
	for key := range inQuery {
		plain, _, _ := strings.Cut(key, "[")
		if key != "private_token" && !query[key] && !query[plain] && !query[plain+"[]"] {
			wrong = append(wrong, fmt.Sprintf("query: %q is no parameter", key))
		}
	}
	slices.Sort(wrong)
	return wrong
}

// answer lists what the result does not know, of answers that are no errors.
func (sh shape) answer(seen *Request) (wrong []string) {
	if seen.Status < 200 || seen.Status > 299 || sh.result == nil || len(seen.Answer) == 0 {
		return nil
	}
	if seen.Method == http.MethodHead || seen.Status == http.StatusAccepted { // a note of quick actions only
		return nil
	}
	result := reflect.TypeOf(sh.result)
	if err := decodes(result, seen.Answer); err != nil {
		return []string{"answer: " + err.Error()}
	}
	var value any
	if err := json.Unmarshal(seen.Answer, &value); err != nil {
		return []string{"answer: " + err.Error()}
	}
	for _, at := range unknown(value, result, "", nil) {
		if !slices.Contains(beyond, at) {
			wrong = append(wrong, fmt.Sprintf("answer: the client knows no %s", at))
		}
	}
	slices.Sort(wrong)
	return slices.Compact(wrong)
}

// decodes reads a text into a new value of the type.
func decodes(t reflect.Type, text []byte) error {
	if t == nil {
		return nil
	}
	decode := json.NewDecoder(bytes.NewReader(text))
	if err := decode.Decode(reflect.New(t).Interface()); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// tags collects the names of a struct's fields.
func tags(t reflect.Type, key string, into map[string]bool) {
	if t == nil || t.Kind() != reflect.Struct {
		return
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get(key), ",")
		switch {
		case f.Anonymous && name == "":
			tags(f.Type, key, into)
		case name != "" && name != "-":
			into[name] = true
		}
	}
}

// unknown lists the keys of a JSON value that a type has no field for, as
// "Type.key".
func unknown(value any, t reflect.Type, at string, also []string) (list []string) {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		if all, is := value.(map[string]any); is {
			for key := range all {
				if !slices.Contains(also, key) {
					list = append(list, key)
				}
			}
		}
		return list
	}
	if t.Name() != "" {
		at = t.Name()
	}
	switch v := value.(type) {
	case []any:
		if t.Kind() == reflect.Slice {
			for _, one := range v {
				list = append(list, unknown(one, t.Elem(), at, nil)...)
			}
		}
	case map[string]any:
		for key, one := range v {
			field, found := fieldOf(t, key)
			switch {
			case t.Kind() == reflect.Map:
				list = append(list, unknown(one, t.Elem(), at, nil)...)
			case t.Kind() != reflect.Struct || slices.Contains(also, key): // such as any
			case !found:
				list = append(list, at+"."+key)
			default:
				list = append(list, unknown(one, field, at+"."+key, nil)...)
			}
		}
	}
	return list
}

func fieldOf(t reflect.Type, key string) (reflect.Type, bool) {
	if t.Kind() != reflect.Struct {
		return nil, false
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			if inner, found := fieldOf(f.Type, key); found {
				return inner, true
			}
		}
		if name == key {
			return f.Type, true
		}
	}
	return nil, false
}
