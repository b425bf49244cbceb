package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
)

// verdict is what a service says in the body of an answer with status 200.
type verdict struct {
	ok      bool
	code    int
	message string
	again   bool          // another attempt may help
	after   time.Duration // not before
	hint    string        // what the person may do
	unread  bool          // it was no answer of the service's
}

func (v verdict) err(where string, hide func(string) string) error {
	if v.ok {
		return nil
	}
	if v.unread {
		return trigger.Temporary(fmt.Errorf("%s answered 200 with something that is not its own answer; look whether a proxy stands in between", where), 0)
	}
	text := fmt.Sprintf("%s refused the message with code %d: %s", where, v.code, clean(hide(v.message), maxWord))
	if v.hint != "" {
		text += "; " + v.hint
	}
	if v.again {
		return trigger.Temporary(errors.New(text), v.after)
	}
	return errors.New(text)
}

// errCode reads the answer that DingTalk and WeCom share.
func errCode(body string) verdict {
	var a struct {
		Code    *int   `json:"errcode"`
		Message string `json:"errmsg"`
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil || a.Code == nil {
		return verdict{unread: true}
	}
	return verdict{ok: *a.Code == 0, code: *a.Code, message: a.Message}
}

// hider takes the credential's values out of a text: an answer may quote the
// request. What is stored goes through the redactor too, but that knows whole
// values only, and half of an address can be enough.
func hider(c builder.Credential, address string) func(string) string {
	var secrets []string
	add := func(s string) {
		if len(s) >= 8 {
			secrets = append(secrets, s, "***")
		}
	}
	add(address)
	add(c.Fields[builder.FieldURL])
	if u, err := url.Parse(c.Fields[builder.FieldURL]); err == nil {
		add(u.RequestURI())
		for _, values := range u.Query() {
			for _, v := range values {
				add(v)
			}
		}
		add(path.Base(u.Path))
	}
	add(c.Fields[builder.FieldSecret])
	add(c.Fields[builder.FieldPassword])
	return strings.NewReplacer(secrets...).Replace
}
