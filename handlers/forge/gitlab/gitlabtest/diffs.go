package gitlabtest

import (
	"crypto/sha1"
	"fmt"
	"strconv"
	"strings"
)

// A file of a diff. Lines are those that a note can stand at.
type diffFile struct {
	oldPath, newPath       string
	aMode, bMode           string
	created, renamed, gone bool
	text                   string // its hunks
	lines                  []diffLine
}

// diffLine is a line of a diff with its number on each side; 0 where it is
// not: an added line has no old number, a removed one no new number.
type diffLine struct {
	old, new int
	oldPos   int // as old and new, but counted on over lines that the other side lacks
	newPos   int
}

// changedFiles is the diff of a merge request as it is shown.
func (m *Merge) changedFiles() []diffFile { return m.p.diff(m.base, m.sha, 3) }

// diff compares two commits, with so many lines of context.
func (p *Project) diff(from, to string, context int) []diffFile {
	out, err := p.dir.Run("diff", "--no-color", "--no-ext-diff", "--find-renames", "--full-index", fmt.Sprintf("--unified=%d", context), from, to)
	if err != nil {
		p.s.log.Error("diff", "from", from, "to", to, "err", err)
	}
	return parseDiff(out)
}

func parseDiff(out string) []diffFile {
	var files []diffFile
	var f *diffFile
	inside, oldPos, newPos := false, 0, 0
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if header, found := strings.CutPrefix(line, "diff --git a/"); found {
			before, after, _ := strings.Cut(header, " b/")
			files = append(files, diffFile{oldPath: before, newPath: after, aMode: "100644", bMode: "100644"})
			f, inside = &files[len(files)-1], false
			continue
		}
		if f == nil {
			continue
		}
		if strings.HasPrefix(line, "@@ ") {
			inside = true
			oldPos, newPos = hunkStart(line)
			f.text += line + "\n"
			continue
		}
		if !inside {
			f.header(line)
			continue
		}
		f.text += line + "\n"
		switch {
		case strings.HasPrefix(line, "+"):
			f.lines = append(f.lines, diffLine{new: newPos, oldPos: oldPos, newPos: newPos})
			newPos++
		case strings.HasPrefix(line, "-"):
			f.lines = append(f.lines, diffLine{old: oldPos, oldPos: oldPos, newPos: newPos})
			oldPos++
		case strings.HasPrefix(line, " "):
			f.lines = append(f.lines, diffLine{old: oldPos, new: newPos, oldPos: oldPos, newPos: newPos})
			oldPos, newPos = oldPos+1, newPos+1
		}
	}
	return files
}

func (f *diffFile) header(line string) {
	word := func(prefix string) string { return strings.TrimSpace(strings.TrimPrefix(line, prefix)) }
	switch {
	case strings.HasPrefix(line, "new file mode "):
		f.created, f.aMode, f.bMode = true, "0", word("new file mode ")
	case strings.HasPrefix(line, "deleted file mode "):
		f.gone, f.aMode, f.bMode = true, word("deleted file mode "), "0"
	case strings.HasPrefix(line, "old mode "):
		f.aMode = word("old mode ")
	case strings.HasPrefix(line, "new mode "):
		f.bMode = word("new mode ")
	case strings.HasPrefix(line, "rename from "):
		f.renamed, f.oldPath = true, word("rename from ")
	case strings.HasPrefix(line, "rename to "):
		f.newPath = word("rename to ")
	}
}

// hunkStart reads "@@ -1,3 +1,4 @@".
func hunkStart(line string) (old, new int) {
	fields := strings.Fields(line)
	if len(fields) < 3 {
		return 0, 0
	}
	number := func(field string) int {
		first, _, _ := strings.Cut(field[1:], ",")
		n, _ := strconv.Atoi(first)
		return n
	}
	return number(fields[1]), number(fields[2])
}

// lineCode names a line of a file: Gitlab::Git.diff_line_code.
func lineCode(path string, l diffLine) string {
	return fmt.Sprintf("%x_%d_%d", sha1.Sum([]byte(path)), l.oldPos, l.newPos)
}

// json: lib/api/entities/diff.rb
func (f diffFile) json() object {
	return object{
		"diff": f.text, "collapsed": false, "too_large": false, "new_path": f.newPath, "old_path": f.oldPath, "a_mode": f.aMode, "b_mode": f.bMode,
		"new_file": f.created, "renamed_file": f.renamed, "deleted_file": f.gone, "generated_file": false,
	}
}

func (s *Server) mergeDiffs(c *call) (answer, error) {
	m, err := c.merge()
	if err != nil {
		return answer{}, err
	}
	list := []any{}
	for _, f := range m.changedFiles() {
		list = append(list, f.json())
	}
	return c.page(list)
}

func (s *Server) mergeChanges(c *call) (answer, error) {
	m, err := c.merge()
	if err != nil {
		return answer{}, err
	}
	out, list := m.json(c.user), []any{}
	for _, f := range m.changedFiles() {
		list = append(list, f.json())
	}
	out["changes"], out["overflow"] = list, false
	return ok(out)
}
