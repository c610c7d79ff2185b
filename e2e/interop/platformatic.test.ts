import { allCodecs } from './client.ts'
import { interopContract } from './contract.ts'
import { PlatformaticClient } from './platformatic-client.ts'

interopContract('@platformatic/kafka', { codecs: allCodecs, idempotence: true }, async (bootstrap) => {
  return new PlatformaticClient(bootstrap)
})
