package main

import (
	"context"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// quiet is longer than any check would take to come.
const quiet = 5 * time.Second

// decisions is what the application says, and what it was asked.
type decisions struct {
	lock          sync.Mutex
	atOnce, later map[string]primitive.LocalTransactionState
	asked         []*primitive.MessageExt
}

func (d *decisions) ExecuteLocalTransaction(message *primitive.Message) primitive.LocalTransactionState {
	return said(d.atOnce, string(message.Body))
}

func (d *decisions) CheckLocalTransaction(message *primitive.MessageExt) primitive.LocalTransactionState {
	d.lock.Lock()
	defer d.lock.Unlock()
	d.asked = append(d.asked, message)
	return said(d.later, string(message.Body))
}

func (d *decisions) times() int {
	d.lock.Lock()
	defer d.lock.Unlock()
	return len(d.asked)
}

func said(table map[string]primitive.LocalTransactionState, body string) primitive.LocalTransactionState {
	if state, known := table[body]; known {
		return state
	}
	return primitive.UnknowState
}

func (k *kit) transactions(d *decisions) rocketmq.TransactionProducer {
	p, err := rocketmq.NewTransactionProducer(d,
		producer.WithNsResolver(k.resolver()),
		producer.WithGroupName(k.prefix+"-p"),
		producer.WithInstanceName(k.instance()))
	must(err, "producer")
	must(p.Start(), "producer's start")
	k.closing(func() { _ = p.Shutdown() })
	return p
}

func inTransaction(p rocketmq.TransactionProducer, topic, body string) {
	message := primitive.NewMessage(topic, []byte(body)).WithTag("tag").WithKeys([]string{"key"})
	_, err := p.SendMessageInTransaction(context.Background(), message)
	must(err, "send in a transaction")
}

// ended: what is decided at once comes or goes, and nobody asks about it.
func ended(k *kit, state primitive.LocalTransactionState, count int) {
	topic := k.topic("t", 1)
	d := &decisions{atOnce: map[string]primitive.LocalTransactionState{"m": state}}
	box := k.inbox(topic)
	inTransaction(k.transactions(d), topic, "m")
	box.awaitSize(count)
	time.Sleep(quiet)
	same(count, box.size(), "messages")
	same(0, d.times(), "checks")
}

// checked: what is not decided is asked about once, and decided then.
func checkedLater(k *kit) {
	topic := k.topic("t", 1)
	d := &decisions{later: map[string]primitive.LocalTransactionState{
		"kept": primitive.CommitMessageState, "gone": primitive.RollbackMessageState}}
	p := k.transactions(d)
	box := k.inbox(topic)
	inTransaction(p, topic, "kept")
	inTransaction(p, topic, "gone")
	await("checks", func() bool { return d.times() >= 2 })
	box.awaitSize(1)
	time.Sleep(quiet)
	same(1, box.size(), "messages")
	same(2, d.times(), "checks")
	got := box.all()[0]
	same("kept", string(got.Body), "body")
	same("key", got.GetKeys(), "keys")
}
