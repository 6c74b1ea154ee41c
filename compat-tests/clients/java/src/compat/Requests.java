package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.RequestTimeoutException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.RequestCallback;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;

/** A message to which a consumer replies, by way of the broker. */
final class Requests {
    private static final long PATIENCE_MS = 10_000;

    private Requests() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("request-reply", Requests::reply);
        scenarios.put("request-late", Requests::late);
        scenarios.put("request-gone", Requests::gone);
    }

    private static void reply(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        answering(kit, topic, 0, new CopyOnWriteArrayList<>());
        DefaultMQProducer producer = kit.producer();
        for (int i = 0; i < 5; i++) {
            Message reply = producer.request(new Message(topic, ("q" + i).getBytes()), PATIENCE_MS);
            same("reply to q" + i, new String(reply.getBody()), "reply");
            same("yes", reply.getUserProperty("mine"), "property of the reply");
            check(reply.getProperty(MessageConst.PROPERTY_PUSH_REPLY_TIME) != null, "%s", reply);
        }
        CountDownLatch done = new CountDownLatch(1);
        AtomicReference<Message> got = new AtomicReference<>();
        producer.request(new Message(topic, "async".getBytes()), new RequestCallback() {
            @Override
            public void onSuccess(Message message) {
                // Stock clients call it with nothing as soon as the request is sent.
                if (message != null) {
                    got.set(message);
                    done.countDown();
                }
            }

            @Override
            public void onException(Throwable error) {
                kit.note(error.toString());
                done.countDown();
            }
        }, PATIENCE_MS);
        check(done.await(PATIENCE_MS, TimeUnit.MILLISECONDS), "no callback");
        same("reply to async", new String(got.get().getBody()), "reply");
    }

    /** A reply that comes after the request was given up is taken by the broker all the same. */
    private static void late(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        List<String> outcomes = new CopyOnWriteArrayList<>();
        answering(kit, topic, 2_500, outcomes);
        DefaultMQProducer producer = kit.producer();
        try {
            producer.request(new Message(topic, "slow".getBytes()), 1_000);
            check(false, "a reply came in time");
        } catch (RequestTimeoutException expected) {
            // That is what must happen.
        }
        await("the late reply", () -> !outcomes.isEmpty());
        same("SEND_OK", outcomes.get(0), "what the replier is told");
        Message reply = producer.request(new Message(topic, "again".getBytes()), PATIENCE_MS);
        same("reply to again", new String(reply.getBody()), "reply");
    }

    /** The one that asked is gone: the replier is told so. */
    private static void gone(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        List<String> outcomes = new CopyOnWriteArrayList<>();
        answering(kit, topic, 1_500, outcomes);
        DefaultMQProducer producer = kit.newProducer(kit.group("asks"));
        producer.start();
        try {
            producer.request(new Message(topic, "left".getBytes()), 500);
            check(false, "a reply came in time");
        } catch (RequestTimeoutException expected) {
            producer.shutdown();
        }
        await("the refused reply", () -> !outcomes.isEmpty());
        check(outcomes.get(0).startsWith("1 push reply message fail, channel of <"),
                "%s", outcomes);
        kit.note(outcomes.get(0));
    }

    private static void answering(Kit kit, String topic, long afterMs, List<String> outcomes)
            throws Exception {
        DefaultMQProducer replies = kit.newProducer(kit.group("replies"));
        replies.setRetryTimesWhenSendFailed(0);
        replies.start();
        DefaultMQPushConsumer consumer = kit.push(kit.group("g"), topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (batch, at) -> {
            for (MessageExt message : batch) {
                outcomes.add(answer(replies, message, afterMs));
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
    }

    private static String answer(DefaultMQProducer replies, MessageExt message, long afterMs) {
        try {
            Thread.sleep(afterMs);
            String body = "reply to " + new String(message.getBody());
            Message reply = MessageUtil.createReplyMessage(message, body.getBytes());
            reply.putUserProperty("mine", "yes");
            return replies.send(reply, 10_000).getSendStatus().name();
        } catch (Exception e) {
            return e.getCause() instanceof MQBrokerException said
                    ? said.getResponseCode() + " " + said.getErrorMessage() : e.toString();
        }
    }
}
