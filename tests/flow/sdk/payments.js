// SPDX-License-Identifier: Apache-2.0
// A shop's program as Stripe's documentation has it: it knows a host and a port, and nothing of
// Cardkeep but the certificate that it shows.  Its settings come on standard input, as JSON.
'use strict';
const fs = require('fs');
const https = require('https');
const Stripe = require('stripe');

const settings = JSON.parse(fs.readFileSync(0));
const file = (name) => (name ? fs.readFileSync(name) : undefined);
const stripe = new Stripe('sk_test_flow', {
  host: settings.host,
  port: settings.port,
  protocol: 'https',
  maxNetworkRetries: 0,
  telemetry: false,
  httpAgent: new https.Agent({
    keepAlive: true,
    ca: file(settings.authorities),
    cert: file(settings.certificate),
    key: file(settings.key),
  }),
});

async function pay() {
  const once = (step) => ({ idempotencyKey: `${settings.order}-${step}` });
  const answers = [];
  let intent = await stripe.paymentIntents.create({
    amount: 1999,
    currency: 'eur',
    capture_method: 'manual',
    payment_method_data: { type: 'card', card: settings.card },
    metadata: settings.metadata,
  }, once('create'));
  answers.push(intent);
  intent = await stripe.paymentIntents.confirm(intent.id, {}, once('confirm'));
  answers.push(intent);
  intent = await stripe.paymentIntents.capture(intent.id, { amount_to_capture: 1500 },
    once('capture'));
  answers.push(intent);
  answers.push(await stripe.refunds.create({ payment_intent: intent.id, amount: 500 },
    once('refund')));
  answers.push(await stripe.paymentIntents.retrieve(intent.id));
  return answers;
}

// Everything that the program could see, an error's raw answer among it.
pay().then(
  (answers) => console.log(JSON.stringify({
    answers,
    heads: answers.map((answer) => answer.lastResponse.headers),
  })),
  (error) => console.log(JSON.stringify({
    error: { type: error.type, code: error.code, message: error.message, raw: error.raw },
  })),
);
