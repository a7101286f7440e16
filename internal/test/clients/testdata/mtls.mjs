// Preloaded into clients that know nothing of client certificates: every connection of the
// process's fetch is TLS 1.3, trusts only the test's authority, and shows its certificate.
import {readFileSync} from 'node:fs';
import {Agent, setGlobalDispatcher} from 'undici';

const {CLIENTS_CA, CLIENTS_CERT, CLIENTS_KEY} = process.env;
if (CLIENTS_CA) {
  setGlobalDispatcher(new Agent({
    connect: {
      ca: readFileSync(CLIENTS_CA), minVersion: 'TLSv1.3',
      ...(CLIENTS_CERT ? {cert: readFileSync(CLIENTS_CERT), key: readFileSync(CLIENTS_KEY)} : {}),
    },
  }));
}
