package pipeline

import (
	"math"
	"net"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// headerPattern is the token of RFC 9110, section 5.6.2.
var headerPattern = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

func (c *checker) verify() {
	c.positive(at("verify", "deadline"), int64(c.config.Verify.Deadline))
	c.keys(at("verify", "probes"), "probe", c.probeNames)
	for name, probe := range c.config.Verify.Probes {
		p := at("verify", "probes", name)
		c.oneOf(p, "probe", probe.kinds(), "containers, postgres, http, tcp")
		c.referAll(p.in("when"), "flag", probe.When, c.flagNames)
		if k := probe.Containers; k != nil {
			c.referAll(p.in("containers", "stacks"), "stack", k.Stacks, c.stackNames)
		}
		if k := probe.Postgres; k != nil {
			c.postgres(p.in("postgres"), k)
		}
		if k := probe.HTTP; k != nil {
			c.http(p.in("http"), k)
		}
		if k := probe.TCP; k != nil {
			c.address(p.in("tcp", "address"), k.Address)
			c.positive(p.in("tcp", "timeout"), int64(k.Timeout))
		}
	}
}

// waitable checks a probe that a step waits for: it must be there whatever changed.
func (c *checker) waitable(p place, name string) {
	c.refer(p, "probe", name, c.probeNames)
	if len(c.config.Verify.Probes[name].When) > 0 {
		c.fail(p, "", "probe %q has `when`, so it is not always there to wait for", name)
	}
}

func (p ProbeConfig) kinds() []string {
	var kinds []string
	if p.Containers != nil {
		kinds = append(kinds, "containers")
	}
	if p.Postgres != nil {
		kinds = append(kinds, "postgres")
	}
	if p.HTTP != nil {
		kinds = append(kinds, "http")
	}
	if p.TCP != nil {
		kinds = append(kinds, "tcp")
	}
	return kinds
}

func (c *checker) postgres(p place, probe *PostgresConfig) {
	c.stack(p, probe.Stack)
	c.service(p, probe.Service)
	c.word(p.in("user"), probe.User)
	c.word(p.in("database"), probe.Database)
	if c.doc.Has(p.in("port")...) {
		c.port(p.in("port"), probe.Port)
	}
}

func (c *checker) port(p place, port int) {
	if port < 1 || port > math.MaxUint16 {
		c.fail(p, "", "port %d is not between 1 and 65535", port)
	}
}

func (c *checker) address(p place, address string) {
	host, port, err := net.SplitHostPort(address)
	number, numberErr := strconv.Atoi(port)
	if err != nil || numberErr != nil || host == "" || strings.ContainsFunc(host, control) {
		c.fail(p, "", "%q is not an address: want host:port, as in 127.0.0.1:5432", address)
		return
	}
	c.port(p, number)
}

// agentAddress is host:port, or the agent's own socket where the runner is on its host.
func (c *checker) agentAddress(p place, address string) {
	socket, local := strings.CutPrefix(address, "unix://")
	switch {
	case !local:
		c.address(p, address)
	case !path.IsAbs(socket) || socket != path.Clean(socket):
		c.fail(p, "", "%q is not a socket: want an absolute path, as in unix:///run/landfall/agent.sock", address)
	}
}

func (c *checker) http(p place, probe *HTTPConfig) {
	c.url(p.in("url"), probe.URL)
	if c.doc.Has(p.in("status")...) && (probe.Status < 100 || probe.Status > 599) {
		c.fail(p.in("status"), "", "status %d is not between 100 and 599", probe.Status)
	}
	for name, value := range probe.Headers {
		if !headerPattern.MatchString(name) {
			c.failKey(p.in("headers", name), "%q is not a valid header name", name)
		}
		if strings.ContainsFunc(value, control) {
			c.fail(p.in("headers", name), "", "a header value must be one line")
		}
		c.variables(p.in("headers", name), value)
	}
	if probe.JSON == nil && c.doc.Has(p.in("json")...) {
		c.fail(p.in("json"), "", "nothing to compare the body with")
	}
	c.json(p.in("json"), probe.JSON)
	c.positive(p.in("timeout"), int64(probe.Timeout))
}

func (c *checker) url(p place, text string) {
	c.variables(p, text)
	expanded, err := expand(text, sample)
	if err != nil {
		return
	}
	u, err := url.Parse(expanded)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		c.fail(p, "", "%q is not a URL: want one like http://127.0.0.1:8080/health", text)
	case u.Scheme != "http" && u.Scheme != "https":
		c.fail(p, "", "%q must begin with http:// or https://", text)
	}
}

// largestExact is the largest whole number that every JSON reader keeps: 2^53.
const largestExact = 1 << 53

// json checks what a body is compared with, down to its strings and numbers.
func (c *checker) json(p place, value any) {
	switch v := value.(type) {
	case string:
		c.variables(p, v)
	case int64:
		if v > largestExact || v < -largestExact {
			c.fail(p, "", "%d is too large for a JSON number to keep exactly", v)
		}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			c.fail(p, "", "JSON has no such number")
		}
	case []any:
		for i, entry := range v {
			c.json(p.in(index(i)), entry)
		}
	case map[string]any:
		for key, entry := range v {
			c.json(p.in(key), entry)
		}
	}
}
