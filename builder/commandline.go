package builder

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/agext/levenshtein"
)

const (
	maxCommandText = 200 // characters of the line that are kept for the answer
	fewestNear     = 5   // letters of a command that a misspelt word is taken for
	commandPrefix  = "rb"
)

var (
	commandWord = regexp.MustCompile(`^[a-z][a-z-]*$`)
	wholeCommit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	someCommit  = regexp.MustCompile(`^[0-9a-f]{4,64}$`)
)

// ParseCommand reads one line of a comment. It is false for what is no
// command of ours: text, and the words of others that listen to the same
// comments. A command that is ours and cannot be understood has Invalid, which
// tells in one sentence of Markdown what to write instead. Small and capital
// letters of the command's word are the same, since telephones capitalise.
// Every command may stand behind /rb, where the forge takes the word itself.
func ParseCommand(line string) (Command, bool) {
	line = strings.TrimSpace(line)
	words := strings.Fields(line)
	if len(words) == 0 {
		return Command{}, false
	}
	word, slash := strings.CutPrefix(words[0], "/")
	word = strings.ToLower(word)
	if !slash || !commandWord.MatchString(word) {
		return Command{}, false
	}
	c := Command{Text: clip(line, maxCommandText)}
	addressed := word == commandPrefix
	if addressed {
		if words = words[1:]; len(words) == 0 {
			words = []string{string(CommandHelp)}
		}
		word = strings.TrimPrefix(strings.ToLower(words[0]), "/")
	}
	for _, u := range Commands() {
		if word == string(u.Name) {
			c.Name = u.Name
			c.Invalid = c.read(u, words[1:])
			return c, true
		}
	}
	near, ok := nearestCommand(word)
	switch {
	case !ok && addressed:
		c.Invalid = fmt.Sprintf("There is no command %s; `/%s help` shows all.", quote(words[0]), commandPrefix)
		return c, true
	case !ok:
		return Command{}, false
	}
	c.Invalid = fmt.Sprintf("There is no command %s; did you mean %s, like %s?", quote(words[0]), quote(near.Form), quote(near.Example))
	return c, true
}

// read takes the words after the command's own. It returns what is wrong with
// them.
func (c *Command) read(u CommandUsage, words []string) (invalid string) {
	takesCache := u.Name == CommandBuild || u.Name == CommandRebuild
	var args []string
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		if dashed, ok := strings.CutPrefix(word, "—"); ok {
			word = "--" + dashed // what telephones make of two hyphens
		}
		name, value, given := strings.Cut(word, "=")
		switch {
		case takesCache && (word == "no-cache" || word == "--no-cache"):
			c.NoCache = true
		case u.Name == CommandBuild && name == "--ref":
			if !given && len(words) > 0 {
				value, words = words[0], words[1:]
			}
			if value == "" || strings.HasPrefix(value, "-") {
				return u.needs("a branch or a tag after `--ref`")
			}
			if c.Ref != "" {
				return u.needs("`--ref` only once")
			}
			c.Ref = value
		case strings.HasPrefix(word, "-"):
			return fmt.Sprintf("`/%s` does not know %s: %s", u.Name, quote(word), u.how())
		default:
			args = append(args, word)
		}
	}
	return c.readArguments(u, args)
}

func (c *Command) readArguments(u CommandUsage, args []string) (invalid string) {
	most := 1
	switch u.Name {
	case CommandOkToBuild:
		return c.readCommit(u, args)
	case CommandStatus, CommandWhy, CommandHelp:
		most = 0
	case CommandPromote:
		if len(args) == 0 {
			return u.needs("a tag")
		}
		last := len(args) - 1
		c.Tag, args = args[last], args[:last]
		if !ValidTag(c.Tag) {
			return fmt.Sprintf("%s is no tag: letters, digits, `_`, `.` and `-`, at most 128, neither `.` nor `-` first; %s", quote(c.Tag), u.how())
		}
	}
	if len(args) > most {
		return fmt.Sprintf("%s is too much for `/%s`: %s", quote(strings.Join(args[most:], " ")), u.Name, u.how())
	}
	if len(args) > 0 {
		c.Image = args[0]
	}
	return ""
}

// readCommit reads the commit that may be built. Nothing short will do:
// whoever pushes can choose a commit whose first digits are those of another.
func (c *Command) readCommit(u CommandUsage, args []string) (invalid string) {
	switch {
	case len(args) == 0:
		return u.needs("the commit that may be built, all 40 digits of it")
	case len(args) > 1:
		return fmt.Sprintf("%s is too much for `/%s`: %s", quote(strings.Join(args[1:], " ")), u.Name, u.how())
	}
	c.Commit = strings.ToLower(args[0])
	switch {
	case wholeCommit.MatchString(c.Commit):
		return ""
	case someCommit.MatchString(c.Commit):
		return fmt.Sprintf("`/%s` needs all 40 digits of the commit, and %s has %d: whoever pushes can make another commit that begins like that; %s",
			u.Name, quote(c.Commit), len(c.Commit), u.how())
	}
	return fmt.Sprintf("%s is no commit: `/%s` needs all 40 digits of it; %s", quote(args[0]), u.Name, u.how())
}

func (u CommandUsage) needs(what string) string {
	return fmt.Sprintf("`/%s` needs %s: %s", u.Name, what, u.how())
}

// how tells how the command is written.
func (u CommandUsage) how() string {
	if u.Form == u.Example {
		return "write " + quote(u.Form)
	}
	return fmt.Sprintf("%s, like %s", quote(u.Form), quote(u.Example))
}

// nearestCommand finds the command that a word was probably meant to be: one
// letter is wrong, missing or too much, or two neighbours changed places.
func nearestCommand(word string) (near CommandUsage, ok bool) {
	for _, u := range Commands() {
		name := string(u.Name)
		if len(name) >= fewestNear && (levenshtein.Distance(word, name, nil) <= 1 || swapped(word, name)) {
			return u, true
		}
	}
	return CommandUsage{}, false
}

// swapped reports whether two neighbouring letters are all that differs.
func swapped(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}

// quote shows what a person wrote as code in Markdown, on one line, so that it
// is shown as it is: no link, no image, nobody is called by a name in it.
func quote(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	text = clip(strings.TrimSpace(text), maxCommandText)
	if text == "" {
		return "` `"
	}
	run, longest := 0, 0
	for _, r := range text {
		if r != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	fence, space := strings.Repeat("`", longest+1), ""
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		space = " "
	}
	return fence + space + text + space + fence
}
