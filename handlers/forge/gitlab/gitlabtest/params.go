package gitlabtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// parse collects the parameters of query, form and JSON body in one row, as
// GitLab's API takes them from either.
func (c *call) parse() error {
	c.params = map[string]any{}
	addValues(c.params, c.r.URL.Query())
	body := bytes.TrimSpace(c.body)
	if len(body) == 0 {
		return nil
	}
	kind, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if kind == "application/x-www-form-urlencoded" {
		values, err := url.ParseQuery(string(body))
		addValues(c.params, values)
		return err
	}
	var given map[string]any
	decode := json.NewDecoder(bytes.NewReader(body))
	decode.UseNumber()
	if err := decode.Decode(&given); err != nil {
		return &apiError{status: http.StatusBadRequest, body: object{"error": "Problems parsing JSON"}}
	}
	for k, v := range given {
		if v != nil {
			c.params[k] = v
		}
	}
	return nil
}

// addValues reads name, name[] and name[key].
func addValues(params map[string]any, values url.Values) {
	for key, list := range values {
		name, inner, nested := strings.Cut(key, "[")
		inner = strings.TrimSuffix(inner, "]")
		switch {
		case !nested:
			params[name] = list[len(list)-1]
		case inner == "":
			all := []any{}
			for _, v := range list {
				all = append(all, v)
			}
			params[name] = all
		default:
			below, _ := params[name].(map[string]any)
			if below == nil {
				below = map[string]any{}
				params[name] = below
			}
			below[strings.TrimSuffix(inner, "]")] = list[len(list)-1]
		}
	}
}

// has reports whether a parameter was given.
func (c *call) has(name string) bool { return c.params[name] != nil }

// text is a parameter as text; "" if it was not given.
func (c *call) text(name string) string {
	switch v := c.params[name].(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return fmt.Sprint(c.params[name])
}

// integer is a parameter as a number; 0 if it was not given or is none.
func (c *call) integer(name string) int64 {
	n, _ := strconv.ParseInt(c.text(name), 10, 64)
	return n
}

// boolean is a parameter that is true or false, and whether it was given.
func (c *call) boolean(name string) (value, given bool) {
	switch strings.ToLower(c.text(name)) {
	case "true", "t", "1", "yes":
		return true, true
	case "false", "f", "0", "no":
		return false, true
	}
	return false, false
}

// moment is a parameter in ISO 8601; zero if it was not given.
func (c *call) moment(name string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02"} {
		if t, err := time.Parse(layout, c.text(name)); err == nil {
			return t
		}
	}
	return time.Time{}
}

// list is a parameter of several values, as an array or separated by commas.
func (c *call) list(name string) []string {
	switch v := c.params[name].(type) {
	case nil:
		return nil
	case []any:
		var out []string
		for _, one := range v {
			out = append(out, fmt.Sprint(one))
		}
		return out
	default:
		return strings.Split(c.text(name), ",")
	}
}

// fields is a parameter that is an object; nil if it was not given.
func (c *call) fields(name string) map[string]any {
	below, _ := c.params[name].(map[string]any)
	return below
}

// require answers 400 where parameters are missing, as Grape words it.
func (c *call) require(names ...string) error {
	var missing []string
	for _, name := range names {
		if !c.has(name) {
			missing = append(missing, name+" is missing")
		}
	}
	if missing == nil {
		return nil
	}
	return invalid(strings.Join(missing, ", "))
}
