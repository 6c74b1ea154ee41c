package main

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// tags: "Aa" and "BB" have one Java hash, which is all that the broker looks at.
func tags(k *kit) {
	topic := k.topic("t", 2)
	p := k.producer()
	for _, tag := range []string{"A", "B", "C", "Aa", "BB"} {
		for i := 0; i < 5; i++ {
			message := primitive.NewMessage(topic, []byte(tag+strconv.Itoa(i)))
			_, err := p.SendSync(context.Background(), message.WithTag(tag))
			must(err, "send")
		}
	}
	for tags, count := range map[string]int{"A": 5, "A || C": 10, "BB": 5, "*": 25} {
		group := k.prefix + "-g" + strings.Trim(strings.ReplaceAll(tags, " || ", ""), "*")
		box := k.inboxOf(group, topic, tags)
		box.awaitSize(count)
		for _, message := range box.all() {
			check(tags == "*" || strings.Contains(tags, message.GetTags()),
				"%s got %s", tags, message.GetTags())
		}
	}
}

func delayed(k *kit, level int, delay time.Duration) {
	topic := k.topic("t", 1)
	box := k.inbox(topic)
	sent := time.Now()
	message := primitive.NewMessage(topic, []byte("late"))
	_, err := k.producer().SendSync(context.Background(), message.WithDelayTimeLevel(level))
	must(err, "send")
	box.awaitSize(1)
	took := time.UnixMilli(box.all()[0].StoreTimestamp).Sub(sent)
	check(took >= delay-50*time.Millisecond && took < delay+3*time.Second, "after %v", took)
	same(topic, box.all()[0].Topic, "topic")
	k.note("after %v", took.Round(time.Millisecond))
}

// retried fails each try: first delivery, two retries, then the dead-letter topic. A member that
// comes and goes first lets the broker create the retry topic, which the client would look for
// again only after 30 s.
func retried(k *kit) {
	topic := k.topic("t", 1)
	group := k.prefix + "-g"
	early := k.push(group, topic, "*", (&inbox{}).take)
	must(early.Start(), "start")
	await("retry topic", func() bool { return len(k.queues("%RETRY%"+group)) > 0 })
	must(early.Shutdown(), "shutdown")

	tries := &inbox{}
	fail := func(ctx context.Context, batch ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		_, _ = tries.take(ctx, batch...)
		if at, ok := primitive.GetConcurrentlyCtx(ctx); ok {
			at.DelayLevelWhenNextConsume = 1
		}
		return consumer.ConsumeRetryLater, nil
	}
	must(k.push(group, topic, "*", fail, consumer.WithMaxReconsumeTimes(2)).Start(), "start")
	message := primitive.NewMessage(topic, []byte("poison"))
	message.WithKeys([]string{"key"}).WithProperty("colour", "blue")
	_, err := k.producer().SendSync(context.Background(), message)
	must(err, "send")
	await("dead-letter topic", func() bool { return len(k.queues("%DLQ%"+group)) > 0 })
	dead := k.drain("%DLQ%"+group, 1)[0]
	same(3, tries.size(), "tries")
	for i, try := range tries.all() {
		same(int32(i), try.ReconsumeTimes, "reconsume times")
	}
	same("poison", string(dead.Body), "dead letter's body")
	same("blue", dead.GetProperty("colour"), "dead letter's user property")
}

func wakes(k *kit) {
	topic := k.topic("t", 1)
	box := k.inbox(topic)
	p := k.producer()
	send := func() {
		_, err := p.SendSync(context.Background(), primitive.NewMessage(topic, []byte("b")))
		must(err, "send")
	}
	send()
	box.awaitSize(1)
	time.Sleep(1500 * time.Millisecond)
	worst := time.Duration(0)
	for i := 0; i < 10; i++ {
		before, start := box.size(), time.Now()
		send()
		await("message", func() bool { return box.size() > before })
		if took := time.Since(start); took > worst {
			worst = took
		}
		time.Sleep(150 * time.Millisecond)
	}
	check(worst < time.Second, "a message took %v from send to listener", worst)
	k.note("slowest of 10: %v", worst.Round(time.Millisecond))
}

// ledger is what all members of a group saw.
type ledger struct {
	lock       sync.Mutex
	deliveries map[string]int
	members    map[string]int
	total      int
}

func (l *ledger) member(name string) listener {
	return func(_ context.Context, batch ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		l.lock.Lock()
		defer l.lock.Unlock()
		for _, message := range batch {
			place := strconv.Itoa(message.Queue.QueueId) + "@" + strconv.FormatInt(message.QueueOffset, 10)
			l.deliveries[place]++
			l.members[name]++
			l.total++
		}
		time.Sleep(2 * time.Millisecond)
		return consumer.ConsumeSuccess, nil
	}
}

func (l *ledger) distinct() int {
	l.lock.Lock()
	defer l.lock.Unlock()
	return len(l.deliveries)
}

func (l *ledger) of(name string) int {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.members[name]
}

// groupOfThree: two members take 1,000 messages of 8 queues while a third joins and leaves. What
// comes twice while a queue changes hands is the client's own doing and only counted.
func groupOfThree(k *kit) {
	topic := k.topic("t", 8)
	group := k.prefix + "-g"
	books := &ledger{deliveries: map[string]int{}, members: map[string]int{}}
	start := func(name string) rocketmq.PushConsumer {
		c := k.push(group, topic, "*", books.member(name))
		must(c.Start(), "start of the "+name)
		return c
	}
	start("first")
	start("second")
	p := k.producer(manual())
	queues := k.queues(topic)
	for _, queue := range queues {
		k.toQueue(p, topic, queue, 75)
	}
	await("600 messages", func() bool { return books.distinct() == 600 })
	third := start("third")
	// Small portions, so that some are left when the third has its share.
	sent := 600
	for ; sent < 1000; sent += 8 {
		for _, queue := range queues {
			k.toQueue(p, topic, queue, 1)
		}
		if sent == 800 {
			await("the third member's share", func() bool {
				for _, queue := range queues {
					k.toQueue(p, topic, queue, 1)
				}
				sent += 8
				time.Sleep(50 * time.Millisecond)
				return books.of("third") > 0
			})
			must(third.Shutdown(), "shutdown of the third")
		}
	}
	await(strconv.Itoa(sent)+" messages", func() bool { return books.distinct() == sent })
	check(books.of("first") > 0 && books.of("second") > 0, "idle members: %v", books.members)
	k.note("%d messages, %d repeated while queues changed hands", sent, books.total-sent)
}

// orderly: a member takes the queues' locks and works in order; it leaves, and the next takes over.
// One at a time, because this client loses queues when two members rebalance at once; and without
// a retry, after which it would take a queue up again only when another message comes.
func orderly(k *kit) {
	topic := k.topic("t", 4)
	group := k.prefix + "-g"
	var lock sync.Mutex
	next := map[int]int64{}
	var faults []string
	take := func(_ context.Context, batch ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		lock.Lock()
		defer lock.Unlock()
		message := batch[0]
		queue := message.Queue.QueueId
		if message.QueueOffset != next[queue] {
			faults = append(faults, message.String())
		}
		next[queue]++
		return consumer.ConsumeSuccess, nil
	}
	p := k.producer(manual())
	for _, done := range []int64{25, 50} {
		for _, queue := range k.queues(topic) {
			k.toQueue(p, topic, queue, 25)
		}
		c := k.push(group, topic, "*", take, consumer.WithConsumerOrder(true),
			consumer.WithConsumeMessageBatchMaxSize(1))
		must(c.Start(), "start")
		await("messages in all four queues", func() bool {
			lock.Lock()
			defer lock.Unlock()
			return next[0] == done && next[1] == done && next[2] == done && next[3] == done
		})
		must(c.Shutdown(), "shutdown")
	}
	check(len(faults) == 0, "out of order: %v", faults)
}

func broadcast(k *kit) {
	topic := k.topic("t", 4)
	var boxes []*inbox
	for i := 0; i < 2; i++ {
		boxes = append(boxes, k.inboxOf(k.prefix+"-g", topic, "*",
			consumer.WithConsumerModel(consumer.BroadCasting)))
	}
	p := k.producer(manual())
	for _, queue := range k.queues(topic) {
		k.toQueue(p, topic, queue, 10)
	}
	for _, box := range boxes {
		box.awaitSize(40)
	}
}
