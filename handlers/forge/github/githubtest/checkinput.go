package githubtest

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of a check run:
// https://docs.github.com/rest/checks/runs#create-a-check-run
const (
	maxCheckText    = 65535 // characters, of summary and of text
	maxAnnotations  = 50    // a request
	maxActions      = 3
	maxLabel        = 20 // also of an identifier
	maxActionText   = 40
	maxAnnotation   = 64 << 10 // bytes, of message and of raw_details
	maxAnnotationTo = 255      // of its title
)

// checkInput is the body of create and update.
type checkInput struct {
	Name        *string
	HeadSHA     *string `json:"head_sha"`
	DetailsURL  *string `json:"details_url"`
	ExternalID  *string `json:"external_id"`
	Status      *string
	Conclusion  *string
	StartedAt   *time.Time `json:"started_at"`
	CompletedAt *time.Time `json:"completed_at"`
	Output      *struct {
		Title       *string
		Summary     *string
		Text        *string
		Annotations []Annotation
	}
	Actions []Action
}

// check refuses what GitHub refuses, in its words where they are known.
func (in *checkInput) check() error {
	if in.Status != nil && !slices.Contains([]string{"queued", "in_progress", "completed"}, *in.Status) {
		return invalid("%s is not a member of [\"queued\", \"in_progress\", \"completed\"].", *in.Status)
	}
	if in.Conclusion != nil && !slices.Contains([]string{"action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"}, *in.Conclusion) {
		return invalid("%s is not a member of the conclusions.", *in.Conclusion)
	}
	if in.Conclusion == nil && (in.Status != nil && *in.Status == "completed" || in.CompletedAt != nil) {
		return invalid("Missing required keys \"conclusion\" in object.")
	}
	if in.Conclusion != nil && in.Status != nil && *in.Status != "completed" {
		return invalid("%s is not a member of [\"completed\"].", *in.Status)
	}
	if in.DetailsURL != nil && !webURL(*in.DetailsURL) {
		return unprocessable("CheckRun", "details_url", "details_url must use http or https scheme")
	}
	if err := in.checkOutput(); err != nil {
		return err
	}
	if n := len(in.Actions); n > maxActions {
		return invalid("No more than %d items are allowed; %d were supplied.", maxActions, n)
	}
	for _, a := range in.Actions {
		for _, f := range []struct {
			value string
			limit int
		}{{a.Label, maxLabel}, {a.Description, maxActionText}, {a.Identifier, maxLabel}} {
			if f.value == "" {
				return invalid("Missing required keys in an action.")
			}
			if err := tooLong(f.value, f.limit); err != nil {
				return err
			}
		}
	}
	return nil
}

func (in *checkInput) checkOutput() error {
	if in.Output == nil {
		return nil
	}
	if in.Output.Summary == nil {
		return invalid("Missing required keys \"summary\" in object.")
	}
	for _, text := range []*string{in.Output.Summary, in.Output.Text} {
		if text == nil {
			continue
		}
		if err := tooLong(*text, maxCheckText); err != nil {
			return err
		}
	}
	if n := len(in.Output.Annotations); n > maxAnnotations {
		return invalid("No more than %d items are allowed; %d were supplied.", maxAnnotations, n)
	}
	for _, a := range in.Output.Annotations {
		if err := a.check(); err != nil {
			return err
		}
	}
	return nil
}

func (a Annotation) check() error {
	switch {
	case a.Path == "" || strings.HasPrefix(a.Path, "/"):
		return unprocessable("CheckAnnotation", "path", "path must be relative to the repository")
	case a.StartLine < 1 || a.EndLine < a.StartLine:
		return unprocessable("CheckAnnotation", "start_line", "end_line must not be before start_line, and lines start at 1")
	case (a.StartColumn != nil || a.EndColumn != nil) && a.StartLine != a.EndLine:
		return unprocessable("CheckAnnotation", "start_column", "columns need start_line and end_line to be equal")
	case a.StartColumn != nil && *a.StartColumn < 1:
		return unprocessable("CheckAnnotation", "start_column", "columns start at 1")
	case !slices.Contains([]string{"notice", "warning", "failure"}, a.Level):
		return invalid("%s is not a member of [\"notice\", \"warning\", \"failure\"].", a.Level)
	case a.Message == "":
		return invalid("Missing required keys \"message\" in object.")
	case len(a.Message) > maxAnnotation || len(a.RawDetails) > maxAnnotation:
		return unprocessable("CheckAnnotation", "message", "message is too long (maximum is 64 KB)")
	case utf8.RuneCountInString(a.Title) > maxAnnotationTo:
		return unprocessable("CheckAnnotation", "title", "title is too long (maximum is 255 characters)")
	}
	return nil
}

func tooLong(s string, limit int) error {
	if n := utf8.RuneCountInString(s); n > limit {
		return invalid("Only %d characters are allowed; %d were supplied.", limit, n)
	}
	return nil
}

// apply changes the check run. Annotations are added to those that are there;
// everything else replaces.
func (in *checkInput) apply(k *check, now time.Time) {
	for _, f := range []struct{ from, to *string }{
		{in.Name, &k.Name}, {in.DetailsURL, &k.DetailsURL}, {in.ExternalID, &k.ExternalID}, {in.Status, &k.Status},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if in.StartedAt != nil {
		k.StartedAt = *in.StartedAt
	} else if k.StartedAt.IsZero() {
		k.StartedAt = now
	}
	switch {
	case in.Conclusion != nil:
		k.Status, k.Conclusion, k.CompletedAt = "completed", *in.Conclusion, now
		if in.CompletedAt != nil {
			k.CompletedAt = *in.CompletedAt
		}
	case in.Status != nil: // back to work
		k.Conclusion, k.CompletedAt = "", time.Time{}
	}
	if o := in.Output; o != nil {
		k.output, k.Summary = true, *o.Summary
		if o.Title != nil {
			k.Title = *o.Title
		}
		if k.textGiven = o.Text != nil; k.textGiven {
			k.Text = *o.Text
		} else {
			k.Text = ""
		}
		k.Annotations = append(k.Annotations, o.Annotations...)
	}
	if in.Actions != nil {
		k.Actions = in.Actions
	}
}
