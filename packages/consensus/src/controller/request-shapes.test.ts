import { expect, test } from 'vitest'
import { idOf } from '../testing/cluster.ts'
import { isRequestOf } from './request-shapes.ts'

test('a registration may leave out which replicas it lost, as brokers of before do, but not say it in another way', () => {
  const before = {
    clusterId: 'cluster',
    brokerId: 1,
    incarnationId: idOf(1),
    rack: null,
    endpoints: [],
    features: [],
    directories: [idOf(2)],
    recoveredCleanly: true,
    previousBrokerEpoch: -1,
  }
  const lostReplicas = [{ topicId: idOf(3), partition: 0 }]
  expect(isRequestOf('registerBroker', before)).toBe(true)
  expect(isRequestOf('registerBroker', { ...before, lostReplicas })).toBe(true)
  for (const wrong of [null, {}, [{ topicId: idOf(3) }], [{ topicId: 't', partition: 0 }]]) {
    expect(isRequestOf('registerBroker', { ...before, lostReplicas: wrong })).toBe(false)
  }
})
