package chat

import (
	"time"
	"unicode/utf8"
)

// WeCom's message robots: https://developer.work.weixin.qq.com/document/path/91770
// (payload; 4,096 bytes of Markdown in UTF-8; 20 messages a minute) and
// https://developer.work.weixin.qq.com/document/path/90313 (codes).
type (
	weComMessage struct {
		Type     string        `json:"msgtype"`
		Markdown weComMarkdown `json:"markdown"`
	}
	weComMarkdown struct {
		Content string `json:"content"`
	}
)

const weComBytes = 4096

func weCom(m message, to robot, _ time.Time) (string, any) {
	return to.url, weComMessage{Type: "markdown", Markdown: weComMarkdown{Content: weComCut(m)}}
}

// weComCut shortens the longest fact until the message fits, so that the link
// stays whole.
func weComCut(m message) string {
	for {
		text := markdown(m, "\n")
		longest := -1
		for i, f := range m.facts {
			if longest < 0 || len(f.text) > len(m.facts[longest].text) {
				longest = i
			}
		}
		if len(text) <= weComBytes || longest < 0 || len(m.facts[longest].text) < 8 {
			return text
		}
		facts := append([]fact(nil), m.facts...)
		facts[longest].text = clean(facts[longest].text, max(2, utf8.RuneCountInString(facts[longest].text)/2))
		m.facts = facts
	}
}

func judgeWeCom(body string) verdict {
	v := errCode(body)
	switch v.code {
	case -1: // the system is busy
		v.again = true
	case 45009, 45033: // too many messages, too many at once
		v.again, v.after = true, time.Minute
	case 93000, 40001, 40014:
		v.hint = "the robot is gone or its key is another; set the credential again with the url that the robot's page shows"
	case 60020:
		v.hint = "this server's address is not among those that the robot takes messages from"
	}
	return v
}
