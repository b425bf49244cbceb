package chat

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Feishu's and Lark's custom bots: https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot
// (payload, signature, codes; 100 messages a minute, 5 a second, 20 KB each).
// The rich text "post" has no markup in its text elements.
type (
	feishuMessage struct {
		Timestamp string        `json:"timestamp,omitempty"` // Unix seconds
		Sign      string        `json:"sign,omitempty"`
		Type      string        `json:"msg_type"`
		Content   feishuContent `json:"content"`
	}
	feishuContent struct {
		Post feishuPost `json:"post"`
	}
	feishuPost struct {
		English feishuText `json:"en_us"` // shown in every language where it is the only one
	}
	feishuText struct {
		Title   string            `json:"title"`
		Content [][]feishuElement `json:"content"` // lines
	}
	feishuElement struct {
		Tag  string `json:"tag"` // text, a
		Text string `json:"text"`
		Href string `json:"href,omitempty"`
	}
)

func feishu(m message, to robot, now time.Time) (string, any) {
	text := func(s string) feishuElement { return feishuElement{Tag: "text", Text: feishuPlain(s)} }
	var lines [][]feishuElement
	for _, f := range m.facts {
		lines = append(lines, []feishuElement{text(f.name + ": " + f.text)})
	}
	if m.url == "" {
		lines = append(lines, []feishuElement{text("Build: " + m.build)})
	} else {
		lines = append(lines, []feishuElement{text("Build: "), {Tag: "a", Text: feishuPlain(m.build), Href: m.url}})
	}
	out := feishuMessage{Type: "post", Content: feishuContent{feishuPost{feishuText{Title: feishuPlain(m.title()), Content: lines}}}}
	if to.secret != "" {
		out.Timestamp = strconv.FormatInt(now.Unix(), 10)
		out.Sign = feishuSign(out.Timestamp, to.secret)
	}
	return to.url, out
}

// feishuSign is the base64 of HMAC-SHA256 of nothing, under a key made of the
// time, a line feed and the secret. The server takes times up to an hour off.
func feishuSign(timestamp, secret string) string {
	return base64.StdEncoding.EncodeToString(hmac.New(sha256.New, []byte(timestamp+"\n"+secret)).Sum(nil))
}

// feishuPlain keeps <at user_id="all"> from being one where a client reads
// more into a text than is documented.
func feishuPlain(s string) string { return strings.NewReplacer("<", "＜", "@", "＠").Replace(s) }

func judgeFeishu(body string) verdict {
	var a struct {
		Code    *int   `json:"code"`
		Message string `json:"msg"`
		// What older servers answer instead.
		OldCode    *int   `json:"StatusCode"`
		OldMessage string `json:"StatusMessage"`
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil || a.Code == nil && a.OldCode == nil {
		return verdict{unread: true}
	}
	if a.Code == nil {
		a.Code, a.Message = a.OldCode, a.OldMessage
	}
	v := verdict{ok: *a.Code == 0, code: *a.Code, message: a.Message}
	switch v.code {
	case 11232: // too many messages
		v.again, v.after = true, time.Minute
	case 9499: // "Bad Request", and on some servers "too many request"
		v.again = strings.Contains(strings.ToLower(v.message), "too many")
	case 19001:
		v.hint = "the bot is gone; set the credential again with the url that the bot's settings show"
	case 19021:
		v.hint = "the credential's secret must be the one that the bot's settings show, and this machine's clock right"
	case 19022:
		v.hint = "this server's address is not among those that the bot takes messages from"
	case 19024:
		v.hint = "make one of the bot's keywords one that every message has, like Image"
	}
	return v
}
