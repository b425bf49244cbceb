package gitlabtest

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// perPage is 20 unless asked otherwise, and at most 100:
// https://docs.gitlab.com/api/rest/#pagination
func (c *call) perPage() int {
	if size := int(c.integer("per_page")); size >= 1 {
		return min(size, 100)
	}
	return 20
}

// page answers a part of a list by number, with GitLab's headers. Above 10,000
// there is no total: https://docs.gitlab.com/api/rest/#other-pagination-headers
func (c *call) page(list []any) (answer, error) {
	size, page := c.perPage(), max(1, int(c.integer("page")))
	last := max(1, (len(list)+size-1)/size)
	from, to := min((page-1)*size, len(list)), min(page*size, len(list))
	h := http.Header{}
	number := func(name string, n int, there bool) {
		if there {
			h.Set(name, strconv.Itoa(n))
		} else {
			h.Set(name, "")
		}
	}
	number("X-Page", page, true)
	number("X-Per-Page", size, true)
	number("X-Next-Page", page+1, page < last)
	number("X-Prev-Page", page-1, page > 1)
	links := []string{c.link("first", "page", "1")}
	if page > 1 {
		links = append(links, c.link("prev", "page", strconv.Itoa(page-1)))
	}
	if page < last {
		links = append(links, c.link("next", "page", strconv.Itoa(page+1)))
	}
	if len(list) <= 10_000 {
		number("X-Total", len(list), true)
		number("X-Total-Pages", last, true)
		links = append(links, c.link("last", "page", strconv.Itoa(last)))
	}
	h.Set("Link", strings.Join(links, ", "))
	return answer{status: http.StatusOK, body: list[from:to], header: h}, nil
}

// keyset answers a part of a list that is sorted by id, from where the last
// page ended. There are no numbers of pages and no totals, only a link:
// https://docs.gitlab.com/api/rest/#keyset-based-pagination
// descending is the order that the list has; a request without
// pagination=keyset is page's.
func (c *call) keyset(list []any, descending bool, id func(any) int64) (answer, error) {
	if c.text("pagination") != "keyset" {
		return c.page(list)
	}
	after, bound := c.integer("id_after"), c.has("id_after")
	if descending {
		after, bound = c.integer("id_before"), c.has("id_before")
	}
	rest := []any{}
	for _, one := range list {
		if n := id(one); !bound || descending && n < after || !descending && n > after {
			rest = append(rest, one)
		}
	}
	h, size := http.Header{}, c.perPage()
	if len(rest) > size {
		rest = rest[:size]
		name := "id_after"
		if descending {
			name = "id_before"
		}
		h.Set("Link", c.link("next", name, strconv.FormatInt(id(rest[size-1]), 10)))
	}
	return answer{status: http.StatusOK, body: rest, header: h}, nil
}

// link is an entry of the header Link: this request with another parameter.
func (c *call) link(rel, name, value string) string {
	q := c.r.URL.Query()
	q.Del("private_token")
	q.Set(name, value)
	q.Set("per_page", strconv.Itoa(c.perPage()))
	path := c.r.URL.EscapedPath()
	if path == "" {
		path = (&url.URL{Path: c.r.URL.Path}).EscapedPath()
	}
	return fmt.Sprintf("<%s%s?%s>; rel=%q", c.s.API, path, q.Encode(), rel)
}
