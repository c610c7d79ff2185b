import { join } from 'node:path'
import { places } from '../harness/places.ts'
import { allCodecs } from './client.ts'
import { interopContract } from './contract.ts'
import { ProgramClient } from './program-client.ts'

const program = join(import.meta.dirname, 'programs/kafka_python.py')

interopContract('kafka-python', { codecs: allCodecs, idempotence: false }, async (bootstrap) => {
  return new ProgramClient({ command: places.python, args: [program] }, bootstrap)
})
