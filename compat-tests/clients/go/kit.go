package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

const patience = 30 * time.Second

// wrong is what a check that does not hold panics with; it ends the scenario.
type wrong string

func check(holds bool, format string, args ...any) {
	if !holds {
		panic(wrong(fmt.Sprintf(format, args...)))
	}
}

func must(err error, what string) {
	check(err == nil, "%s: %v", what, err)
}

func same[T comparable](expected, found T, what string) {
	check(expected == found, "%s: expected %v, found %v", what, expected, found)
}

func await(what string, holds func() bool) {
	end := time.Now().Add(patience)
	for !holds() {
		check(time.Now().Before(end), "no %s within %v", what, patience)
		time.Sleep(20 * time.Millisecond)
	}
}

// kit is what a scenario works with: clients that are shut down at its end, topics of its own.
type kit struct {
	names, broker, prefix string
	instances             atomic32
	lock                  sync.Mutex
	closers               []func()
	notes                 []string
}

type atomic32 struct{ value int32 }

func (a *atomic32) next() int32 { return atomic.AddInt32(&a.value, 1) }

func newKit(names, broker, prefix string) *kit {
	return &kit{names: names, broker: broker, prefix: prefix}
}

func (k *kit) note(format string, args ...any) {
	k.lock.Lock()
	defer k.lock.Unlock()
	k.notes = append(k.notes, fmt.Sprintf(format, args...))
}

func (k *kit) closing(closer func()) {
	k.lock.Lock()
	defer k.lock.Unlock()
	k.closers = append(k.closers, closer)
}

func (k *kit) close() {
	for i := len(k.closers) - 1; i >= 0; i-- {
		k.closers[i]()
	}
}

func (k *kit) instance() string {
	return k.prefix + "-" + strconv.Itoa(int(k.instances.next()))
}

func (k *kit) resolver() primitive.NsResolver {
	return primitive.NewPassthroughResolver([]string{k.names})
}

func (k *kit) admin() admin.Admin {
	a, err := admin.NewAdmin(admin.WithResolver(k.resolver()))
	must(err, "admin client")
	return a
}

// topic creates a topic on the broker and waits until the name server routes to it.
func (k *kit) topic(suffix string, queues int) string {
	return k.topicWith(suffix, queues, 6)
}

func (k *kit) topicWith(suffix string, queues, perm int) string {
	topic := k.prefix + "-" + suffix
	a := k.admin()
	defer a.Close()
	must(a.CreateTopic(context.Background(), admin.WithTopicCreate(topic),
		admin.WithBrokerAddrCreate(k.broker), admin.WithReadQueueNums(queues),
		admin.WithWriteQueueNums(queues), admin.WithPerm(perm)), "create "+topic)
	if perm&2 != 0 {
		await("route of "+topic, func() bool { return len(k.queues(topic)) == queues })
	} else {
		time.Sleep(time.Second)
	}
	return topic
}

// queues asks the name server afresh.
func (k *kit) queues(topic string) []*primitive.MessageQueue {
	a := k.admin()
	defer a.Close()
	queues, err := a.FetchPublishMessageQueues(context.Background(), topic)
	if err != nil {
		return nil
	}
	return queues
}

func (k *kit) producer(options ...producer.Option) rocketmq.Producer {
	all := append([]producer.Option{
		producer.WithNsResolver(k.resolver()),
		producer.WithGroupName(k.prefix + "-producer"),
		producer.WithInstanceName(k.instance()),
		producer.WithSendMsgTimeout(10 * time.Second),
	}, options...)
	p, err := rocketmq.NewProducer(all...)
	must(err, "producer")
	must(p.Start(), "producer's start")
	k.closing(func() { _ = p.Shutdown() })
	return p
}

// toQueue sends count messages "0", "1", ... to one queue.
func (k *kit) toQueue(p rocketmq.Producer, topic string, queue *primitive.MessageQueue, count int) {
	for i := 0; i < count; i++ {
		message := primitive.NewMessage(topic, []byte(strconv.Itoa(i)))
		message.Queue = queue
		_, err := p.SendSync(context.Background(), message)
		must(err, "send")
	}
}

func manual() producer.Option {
	return producer.WithQueueSelector(producer.NewManualQueueSelector())
}

type listener = func(context.Context, ...*primitive.MessageExt) (consumer.ConsumeResult, error)

// push makes a push consumer that begins at the first message; it is not started yet.
func (k *kit) push(group, topic, tags string, f listener, options ...consumer.Option) rocketmq.PushConsumer {
	all := append([]consumer.Option{
		consumer.WithNsResolver(k.resolver()),
		consumer.WithGroupName(group),
		consumer.WithInstance(k.instance()),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	}, options...)
	c, err := rocketmq.NewPushConsumer(all...)
	must(err, "push consumer")
	selector := consumer.MessageSelector{Type: consumer.TAG, Expression: tags}
	must(c.Subscribe(topic, selector, f), "subscribe")
	k.closing(func() { _ = c.Shutdown() })
	return c
}

// inbox collects what a push consumer gets.
type inbox struct {
	lock     sync.Mutex
	messages []*primitive.MessageExt
}

func (i *inbox) take(_ context.Context, batch ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
	i.lock.Lock()
	defer i.lock.Unlock()
	i.messages = append(i.messages, batch...)
	return consumer.ConsumeSuccess, nil
}

func (i *inbox) all() []*primitive.MessageExt {
	i.lock.Lock()
	defer i.lock.Unlock()
	return append([]*primitive.MessageExt(nil), i.messages...)
}

func (i *inbox) size() int {
	i.lock.Lock()
	defer i.lock.Unlock()
	return len(i.messages)
}

func (i *inbox) awaitSize(count int) {
	end := time.Now().Add(patience)
	for i.size() < count {
		check(time.Now().Before(end), "%d messages within %v, not %d", i.size(), patience, count)
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond)
	same(count, i.size(), "messages")
}

// inbox opens a consumer of everything in a topic, in a group of its own.
func (k *kit) inbox(topic string) *inbox {
	return k.inboxOf(fmt.Sprintf("%s-inbox-%d", k.prefix, k.instances.next()), topic, "*")
}

func (k *kit) inboxOf(group, topic, tags string, options ...consumer.Option) *inbox {
	box := &inbox{}
	must(k.push(group, topic, tags, box.take, options...).Start(), "consumer's start")
	return box
}

// drain reads a topic from its start until count messages came; more is an error.
func (k *kit) drain(topic string, count int) []*primitive.MessageExt {
	box := k.inbox(topic)
	box.awaitSize(count)
	return box.all()
}

var (
	asked  sync.Map
	askers atomic32
)

// ask lets the runner do something to a server, and waits.
func ask(action string) {
	id := strconv.Itoa(int(askers.next()))
	answer := make(chan string, 1)
	asked.Store(id, answer)
	say("do %s %s", id, action)
	select {
	case why := <-answer:
		check(why == "", "%s: %s", action, why)
	case <-time.After(60 * time.Second):
		check(false, "%s: no answer of the runner", action)
	}
}

func answered(words []string) {
	answer, known := asked.LoadAndDelete(words[1])
	if !known {
		return
	}
	why := ""
	if words[0] == "failed" {
		why = fmt.Sprint("the runner says: ", words[2:])
	}
	answer.(chan string) <- why
}
