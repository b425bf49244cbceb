package githubtest

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// page answers the asked page of a list, with the Link header.
func (c *call) page(list []any) (answer, error) {
	part, header := c.cut(list)
	return answer{status: http.StatusOK, body: part, header: header}, nil
}

// pageIn is page for lists that come in an object with their total.
func (c *call) pageIn(field string, list []any, more object) (answer, error) {
	part, header := c.cut(list)
	body := object{"total_count": len(list), field: part}
	for k, v := range more {
		body[k] = v
	}
	return answer{status: http.StatusOK, body: body, header: header}, nil
}

func (c *call) perPage() int {
	size, err := strconv.Atoi(c.query("per_page"))
	if err != nil || size < 1 {
		size = 30
	}
	return min(size, 100)
}

func (c *call) cut(list []any) ([]any, http.Header) {
	size := c.perPage()
	page, err := strconv.Atoi(c.query("page"))
	if err != nil || page < 1 {
		page = 1
	}
	from, to := min((page-1)*size, len(list)), min(page*size, len(list))
	last := max(1, (len(list)+size-1)/size)
	var links []string
	link := func(n int, rel string) {
		q := c.r.URL.Query()
		q.Set("page", strconv.Itoa(n))
		links = append(links, fmt.Sprintf("<%s%s?%s>; rel=%q", c.s.API, (&url.URL{Path: c.r.URL.Path}).EscapedPath(), q.Encode(), rel))
	}
	if page > 1 {
		link(page-1, "prev")
	}
	if page < last {
		link(page+1, "next")
		link(last, "last")
	}
	header := http.Header{}
	if links != nil {
		header.Set("Link", strings.Join(links, ", "))
	}
	return append([]any{}, list[from:to]...), header
}
