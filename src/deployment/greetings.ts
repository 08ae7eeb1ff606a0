/** First words of a new bot; `{bot}` stands for its name. Languages that are not here greet in English. */
const GREETINGS: Record<string, string> = {
  ar: 'مرحبًا! أنا {bot}. كيف يمكنني مساعدتك؟',
  cs: 'Dobrý den! Jsem {bot}. Jak vám mohu pomoci?',
  da: 'Hej! Jeg er {bot}. Hvordan kan jeg hjælpe?',
  de: 'Hallo! Ich bin {bot}. Wie kann ich helfen?',
  el: 'Γεια σας! Είμαι ο {bot}. Πώς μπορώ να βοηθήσω;',
  en: 'Hello! I am {bot}. How can I help you?',
  es: '¡Hola! Soy {bot}. ¿En qué puedo ayudarle?',
  fi: 'Hei! Olen {bot}. Kuinka voin auttaa?',
  fr: 'Bonjour ! Je suis {bot}. Comment puis-je vous aider ?',
  hu: 'Üdvözlöm! {bot} vagyok. Miben segíthetek?',
  it: 'Ciao! Sono {bot}. Come posso aiutare?',
  ja: 'こんにちは。{bot} です。ご用件をお聞かせください。',
  ko: '안녕하세요! {bot}입니다. 무엇을 도와드릴까요?',
  nl: 'Hallo! Ik ben {bot}. Hoe kan ik helpen?',
  no: 'Hei! Jeg er {bot}. Hvordan kan jeg hjelpe?',
  pl: 'Dzień dobry! Jestem {bot}. Jak mogę pomóc?',
  pt: 'Olá! Sou {bot}. Como posso ajudar?',
  ro: 'Bună! Sunt {bot}. Cu ce vă pot ajuta?',
  ru: 'Здравствуйте! Я {bot}. Чем могу помочь?',
  sv: 'Hej! Jag är {bot}. Hur kan jag hjälpa till?',
  tr: 'Merhaba! Ben {bot}. Nasıl yardımcı olabilirim?',
  uk: 'Вітаю! Я {bot}. Чим можу допомогти?',
  zh: '您好！我是 {bot}。有什么可以帮您？',
};

const FALLBACK = 'Hello! I am {bot}. How can I help you?';

/** What a new bot says first, in each language. */
export function greet(bot: string, languages: readonly string[]): { language: string; text: string }[] {
  return languages.map((language) => ({
    language,
    text: (GREETINGS[language] ?? FALLBACK).replace('{bot}', bot),
  }));
}
