// Package manifest changes the image that a YAML file names, and nothing else
// in it: the values are found in the parsed file, and only their own bytes are
// replaced, so that comments, order, quoting and indentation stay as people
// wrote them. What was written is parsed again, and is only given out where
// nothing but the image differs.
package manifest

import (
	"bytes"
	"fmt"
	"strings"
)

// MaxFile is the largest file that is changed, in bytes.
const MaxFile = 1 << 20

// Image is what the file is to name.
type Image struct {
	Repository string // with its registry's host
	Tag        string
	Digest     string
}

// String is the image as a reference: repository:tag@digest.
func (i Image) String() string { return i.Repository + ":" + i.Tag + "@" + i.Digest }

// tagged is what Helm charts without a digest of their own take for a tag.
func (i Image) tagged() string { return i.Tag + "@" + i.Digest }

// Place says where in a file the image is named. Exactly one is set.
type Place struct {
	Kustomize string // name of an entry of images:
	Helm      string // path to a mapping with repository, tag or digest
	Path      string // path to a text
}

func (p Place) String() string {
	switch {
	case p.Kustomize != "":
		return "kustomize " + p.Kustomize
	case p.Helm != "":
		return "helm " + p.Helm
	}
	return "path " + p.Path
}

// Change is what Set did.
type Change struct {
	Changed bool // false: the file names the image already
	Line    int  // where it is named, from 1, in the file that was given out
	Text    string
}

// Set makes the text of a file name the image. An error is a sentence for the
// person who wrote the trigger, with the file and, where there is one, the
// line: another attempt on the same text gives the same.
func Set(file string, text []byte, p Place, img Image) ([]byte, Change, error) {
	if len(text) > MaxFile {
		return nil, Change{}, fmt.Errorf("%s is larger than %d KiB; name the image in a smaller file", file, MaxFile>>10)
	}
	before, err := parse(file, text)
	if err != nil {
		return nil, Change{}, err
	}
	d := &draft{source: before}
	line, err := d.plan(p, img)
	if err != nil {
		return nil, Change{}, err
	}
	if len(d.splices) == 0 {
		return text, Change{Line: line}, nil
	}
	out := d.apply()
	line, err = d.check(out, p, img, line)
	if err != nil {
		return nil, Change{}, err
	}
	return out, Change{Changed: true, Line: line, Text: strings.Join(d.told, ", ")}, nil
}

// check makes sure that the new text differs in nothing but the image, and
// names it. What it finds is a way of writing YAML that we do not know how to
// change, so the file stays as it is.
func (d *draft) check(out []byte, p Place, img Image, line int) (int, error) {
	refuse := fmt.Errorf("%s:%d: the value there is written in a way that is not changed safely; write it on one line of its own, plain or between quotes", d.file, line)
	after, err := parse(d.file, out)
	if err != nil || len(after.docs) != len(d.docs) {
		return 0, refuse
	}
	for i := range d.docs {
		if !d.same(d.docs[i], after.docs[i]) {
			return 0, refuse
		}
	}
	again := &draft{source: after}
	line, err = again.plan(p, img)
	if err != nil || len(again.splices) > 0 || bytes.Equal(out, d.whole) {
		return 0, refuse
	}
	return line, nil
}

// plan finds what has to change, and the line where the image is named.
func (d *draft) plan(p Place, img Image) (line int, err error) {
	switch {
	case p.Kustomize != "":
		return d.kustomize(p.Kustomize, img)
	case p.Helm != "":
		return d.helm(p.Helm, img)
	case p.Path != "":
		return d.path(p.Path, img)
	}
	return 0, fmt.Errorf("%s: the trigger does not say where the image is named; add one of kustomize, helm and path", d.file)
}
