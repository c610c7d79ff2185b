import { allCodecs } from './client.ts'
import { interopContract } from './contract.ts'
import { KafkaJsClient } from './kafkajs-client.ts'

interopContract('kafkajs', { codecs: allCodecs, idempotence: true }, async (bootstrap) => new KafkaJsClient(bootstrap))
