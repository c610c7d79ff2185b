import { join } from 'node:path'
import { places } from '../harness/places.ts'
import { allCodecs } from './client.ts'
import { interopContract } from './contract.ts'
import { ProgramClient } from './program-client.ts'

const program = join(import.meta.dirname, 'programs/confluent_python.py')

interopContract('confluent-kafka for Python', { codecs: allCodecs, idempotence: true }, async (bootstrap) => {
  return new ProgramClient({ command: places.python, args: [program] }, bootstrap)
})
