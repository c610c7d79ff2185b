import type { DataFamilySchema } from './schema.ts'

/** Request and response headers. */
export const headers: DataFamilySchema = {
  name: 'headers',
  messages: [
    {
      name: 'RequestHeader',
      kind: 'header',
      versions: '1-2',
      flexible: '2+',
      fields: [
        { name: 'requestApiKey', type: 'int16' },
        { name: 'requestApiVersion', type: 'int16' },
        { name: 'correlationId', type: 'int32' },
        { name: 'clientId', type: 'string', nullable: true, flexible: 'none' },
      ],
    },
    {
      name: 'ResponseHeader',
      kind: 'header',
      versions: '0-1',
      flexible: '1+',
      fields: [{ name: 'correlationId', type: 'int32' }],
    },
  ],
}
