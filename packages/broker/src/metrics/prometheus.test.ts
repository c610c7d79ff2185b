import { expect, test } from 'vitest'
import { TestBroker } from '../testing/test-broker.ts'

test('those who ask for other things are answered between the metrics of a scrape', async () => {
  await TestBroker.run({}, async (client, broker) => {
    await client.createTopic('t')
    // Loads the HTTP server and prom-client.
    const metricCount = (await broker.metrics()).split('# TYPE').length - 1
    let isScraping = true
    const scrape = broker.metrics().finally(() => {
      isScraping = false
    })
    let answers = 0
    while (isScraping) {
      await client.createTopic(`t${answers}`)
      answers++
    }
    const text = await scrape
    expect(metricCount).toBeGreaterThan(60)
    // A request takes a few turns, and each metric has one of its own.
    expect(answers).toBeGreaterThan(metricCount / 10)
    expect(text).toContain('\nkafka_server_replicamanager_partitioncount ')
    client.close()
  })
})

test('no metric walks the sockets of the process', async () => {
  await TestBroker.run({}, async (client, broker) => {
    const text = await broker.metrics()
    // prom-client's own, each some milliseconds of the loop with thousands of connections.
    expect(text).not.toMatch(/nodejs_active_(handles|requests|resources)/)
    expect(text).not.toContain('process_open_fds')
    expect(text).toContain('process_resident_memory_bytes')
    client.close()
  })
})

test('what nobody knows has no value, with labels or without', async () => {
  await TestBroker.run({}, async (client, broker) => {
    const text = await broker.metrics()
    // There is no authorizer.
    for (const name of ['kafka_server_authorizer_metrics_acls_total_count', 'millrace_authorizations_total']) {
      expect(text).toContain(`\n# TYPE ${name} `)
      expect(text).not.toMatch(new RegExp(`^${name}\\b`, 'm'))
    }
    expect(text).toMatch(/^kafka_server_replicamanager_partitioncount 0$/m)
    client.close()
  })
})
