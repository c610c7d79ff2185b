import { join } from 'node:path'
import { places, requirePlace } from '../harness/places.ts'
import { allCodecs } from './client.ts'
import { interopContract } from './contract.ts'
import { ProgramClient } from './program-client.ts'

const program = join(import.meta.dirname, 'programs/confluent-javascript.cjs')

interopContract('@confluentinc/kafka-javascript', { codecs: allCodecs, idempotence: true }, async (bootstrap) => {
  return new ProgramClient(
    { command: requirePlace(places.confluentNode), args: [program, places.confluent] },
    bootstrap,
  )
})
