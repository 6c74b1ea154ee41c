// Command compat runs scenarios of the stock Go client for the runner, many in one process.
//
// Lines in: "run SCENARIO PREFIX", "done ID", "failed ID WHY", "quit". Lines out, each behind
// "@@": "ready", "result PREFIX PASS|FAIL|NA MS DETAILS", and "do ID ACTION", which asks the runner
// to do something to a server. Arguments: the addresses of the name server and of the broker.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

type scenario func(*kit)

var scenarios = map[string]scenario{
	"send-sync":         sendSync,
	"send-async":        sendAsync,
	"send-oneway":       sendOneway,
	"send-batch":        sendBatch,
	"topic-auto-create": autoCreate,
	"trace":             traced,
	"body-1-byte":       func(k *kit) { roundTrip(k, 1) },
	"body-4-mib":        func(k *kit) { roundTrip(k, most) },
	"body-over-4-mib":   tooLong,
	"compressed-zlib":   compressed,

	"tags":               tags,
	"sql-push":           sqlPush,
	"sql-pull-held":      sqlHeld,
	"sql-refused":        sqlRefused,
	"delay-level-1":      func(k *kit) { delayed(k, 1, time.Second) },
	"delay-level-3":      func(k *kit) { delayed(k, 3, 10*time.Second) },
	"retry-then-dlq":     retried,
	"push-wakes-at-once": wakes,
	"group-of-three":     groupOfThree,
	"orderly":            orderly,
	"broadcast":          broadcast,

	"transaction-commit":   func(k *kit) { ended(k, primitive.CommitMessageState, 1) },
	"transaction-rollback": func(k *kit) { ended(k, primitive.RollbackMessageState, 0) },
	"transaction-checked":  checkedLater,

	"pull":        pull,
	"pull-held":   held,
	"offset-kept": kept,

	"wrong-topic":     wrongTopic,
	"no-permission":   noPermission,
	"restart-broker":  func(k *kit) { interrupted(k, "stop broker", "start broker") },
	"kill-broker":     func(k *kit) { interrupted(k, "kill broker", "start broker") },
	"restart-namesrv": func(k *kit) { interrupted(k, "stop namesrv", "start namesrv") },
}

var output sync.Mutex

func say(format string, args ...any) {
	output.Lock()
	defer output.Unlock()
	fmt.Printf("@@"+format+"\n", args...)
}

func main() {
	rlog.SetLogLevel("error")
	say("ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		words := strings.SplitN(in.Text(), " ", 3)
		switch words[0] {
		case "run":
			go run(words[1], newKit(os.Args[1], os.Args[2], words[2]))
		case "done", "failed":
			answered(words)
		case "quit":
			return
		}
	}
}

func run(name string, k *kit) {
	start := time.Now()
	verdict := "FAIL"
	func() {
		defer func() {
			if failure := recover(); failure != nil {
				k.note("%v", failure)
				if _, expected := failure.(wrong); !expected {
					fmt.Fprintf(os.Stderr, "%v\n%s\n", failure, debug.Stack())
				}
			}
		}()
		defer k.close()
		body, known := scenarios[name]
		if !known {
			verdict = "NA"
			k.note("the Go client cannot do it")
			return
		}
		body(k)
		verdict = "PASS"
	}()
	notes := strings.Join(strings.Fields(strings.Join(k.notes, "; ")), " ")
	say("result %s %s %d %s", k.prefix, verdict, time.Since(start).Milliseconds(), notes)
}
