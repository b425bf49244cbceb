package gitlab

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// logged is one delivery in a webhook's log.
// https://docs.gitlab.com/api/project_webhooks/#get-a-list-of-project-webhook-events
type logged struct {
	ID        int64             `json:"id"`
	Trigger   string            `json:"trigger"` // push_hooks
	Headers   map[string]string `json:"request_headers"`
	Status    any               `json:"response_status"` // "200", "internal error"
	CreatedAt *time.Time        `json:"created_at"`      // not in the first versions that have the log
}

func (l logged) status() string { return fmt.Sprint(l.Status) }

// ok reports whether the delivery was taken.
func (l logged) ok() bool { return len(l.status()) == 3 && strings.HasPrefix(l.status(), "2") }

// event names what was delivered; the same for each attempt.
func (l logged) event() string {
	for _, header := range []string{headerIdempotency, "X-Gitlab-Event-UUID"} {
		if key := l.Headers[header]; key != "" {
			return key
		}
	}
	return strconv.FormatInt(l.ID, 10)
}

// logPage is the most that one page of a log has: a delivery's whole payload
// comes with it.
const logPage = 20

// log reads one page of a webhook's log, the newest first. It has been there
// since GitLab 17.3; 404 before.
func (f *Forge) log(ctx context.Context, p place, id, page int) (list []logged, next int, err error) {
	query := &paged{Page: page, PerPage: logPage}
	resp, err := f.get(once(ctx), fmt.Sprintf("%s/hooks/%d/events", p.api(), id), query, &list)
	if err != nil {
		return nil, 0, fmt.Errorf("deliveries of the webhook of %s: %w", p.Path, err)
	}
	return list, nextPage(resp, page), nil
}
