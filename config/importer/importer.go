package importer

import (
	"fmt"

	"github.com/registry-build/registry-build/config"
)

// Result is a build file that was made of another service's rules.
type Result struct {
	Service  string // "ACR" or "TCR"
	File     []byte // accepted by config.ParseBuildFile, and with at least one rule that builds
	Rules    int    // that build
	Unmapped []Note // what the file does not do; the same list stands at its end
}

// Note is one thing of the source that has no place in the build file.
type Note struct {
	Line int // in the source, from 1; 0: the whole of it
	Text string
}

// Limits of what is read. A service allows a repository far less.
const (
	maxSource = 1 << 20 // bytes
	maxFile   = 256 << 10
	maxImages = 100 // as a build file has them
	maxRules  = 100 // of an image
	maxAll    = 500 // of all images
	maxArgs   = 20  // of a rule
	maxTags   = 100 // of a rule
	maxNotes  = 100 // at the end of the file; the result has them all
)

// Import reads rules, JSON or YAML, and writes a build file. name is what the
// source is called in messages and comments. The error is config.Diagnostics
// where it is about the source: it does not parse, holds no rules, or none
// that can be said in a build file.
func Import(name string, data []byte) (*Result, error) {
	roots, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	service, err := detect(name, roots)
	if err != nil {
		return nil, err
	}
	d := &draft{file: name, service: service}
	for _, root := range roots {
		d.read(root, repository{automatic: true, cache: true})
	}
	d.settle()
	if d.builds() == 0 {
		return nil, d.nothing()
	}
	text := d.write()
	if len(text) > maxFile {
		return nil, config.Diagnostics{{File: name, Message: fmt.Sprintf("the build file would have %d bytes, and %d (256 KiB) are the most; import the image repositories one by one", len(text), maxFile)}}
	}
	if _, problems := config.ParseBuildFile(config.BuildFileName, text); len(problems) > 0 {
		return nil, fmt.Errorf("the build file made of %s is not valid, which is a mistake of this program: %v", name, problems)
	}
	return &Result{Service: service.title, File: text, Rules: d.builds(), Unmapped: d.unmapped}, nil
}

// draft is a build file while it is made.
type draft struct {
	file     string
	service  service
	images   []*image
	count    int  // of rules read
	switches bool // the source says how the image repository builds
	unmapped []Note
}

// repository is what a description says of all rules of one image repository.
type repository struct {
	name             string // where the service pushed; "" where it does not say
	automatic, cache bool
}

// image is an image repository of the service.
type image struct {
	name       string // of the build file's image; "": the repository's
	repository string
	rules      []*rule
}

// image returns the image of an image repository.
func (d *draft) image(repository string) *image {
	for _, im := range d.images {
		if im.repository == repository {
			return im
		}
	}
	im := &image{repository: repository}
	d.images = append(d.images, im)
	return im
}

func (d *draft) note(line int, format string, args ...any) {
	d.unmapped = append(d.unmapped, Note{Line: line, Text: oneLine(fmt.Sprintf(format, args...))})
}

// builds is how many rules are no stand-ins.
func (d *draft) builds() int {
	n := 0
	for _, im := range d.images {
		for _, r := range im.rules {
			if !r.standIn {
				n++
			}
		}
	}
	return n
}

// nothing is the error for rules of which none can be said here.
func (d *draft) nothing() error {
	var problems config.Diagnostics
	for _, n := range d.unmapped[:min(len(d.unmapped), maxNotes)] {
		problems = append(problems, config.Diagnostic{File: d.file, Line: n.Line, Col: 1, Message: n.Text})
	}
	if d.count == 0 && len(problems) > 0 {
		return problems
	}
	return append(problems, config.Diagnostic{File: d.file, Message: fmt.Sprintf("none of its %s build rules can be said in a build file", d.service.title)})
}
